/* Sessions in bubblewrap boxes: one on a host, or one after another in a slot. */
#ifndef XQ_SLOT_H
#define XQ_SLOT_H

#include <stdbool.h>

/* The host's start frame and the session after it; false when the platform failed. */
bool hold_session_in_boxes(void);
void serve_slot(void);

#endif
