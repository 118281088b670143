"""Data sets: adapters that turn folders of audio into manifests, downloads, features and augmentation."""
