/* In the host library only: which sources it was built from, so that Python never runs stale C (edge_kws/native_build.py). */

#ifndef EKWS_SOURCE_HASH
#define EKWS_SOURCE_HASH "0000000000000000000000000000000000000000000000000000000000000000"
#endif

#define PREFIX "ekws_source_hash="

const char *ekws_source_hash(void);

/* The prefix lets the hash be read from the file without loading the library. */
const char *ekws_source_hash(void) {
  static const char marker[] = PREFIX EKWS_SOURCE_HASH;
  return marker + sizeof PREFIX - 1;
}
