/* What `edge-kws build` generates into contents.c: the packs. */
#ifndef EKWS_CONTENTS_H
#define EKWS_CONTENTS_H

#include "ekws.h"

extern const ekws_frontend_t ekws_frontends[];
extern const size_t ekws_frontend_count;
extern const ekws_model_t *const ekws_models[];
extern const size_t ekws_model_count;
extern uint64_t ekws_arena[];
extern const size_t ekws_arena_bytes;

#endif
