"""Writers: row programs and models into files."""
