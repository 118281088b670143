/* The firmware: audio into a ring, ekws_process, events out, and the serial protocol around it. */
#ifndef EKWS_APP_H
#define EKWS_APP_H

#include "ekws.h"

/* Everything into its first state. Returns EKWS_OK, or the error of ekws_init: the front end or the memory is not what the models need. */
int32_t ekws_app_start(void);

/* One turn: takes what has arrived and listens to it. Returns 0 when there was nothing to do and the board may sleep. */
int ekws_app_step(void);

#endif
