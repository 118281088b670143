#include "app.h"
#include "port.h"

int main(void) {
  ekws_port_start();
  if (ekws_app_start() != EKWS_OK) {
    for (;;) { /* the log line has said why; not restarting keeps it readable */
      ekws_port_watchdog_feed();
      ekws_port_sleep();
    }
  }
  for (;;) {
    ekws_port_watchdog_feed();
    if (!ekws_app_step()) {
      ekws_port_sleep();
    }
  }
}
