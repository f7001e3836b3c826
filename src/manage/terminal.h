/* SPDX-License-Identifier: Apache-2.0 */
/* Signals and keys as things to wait for, and a terminal that is given back as it was. */
#ifndef MANAGE_TERMINAL_H
#define MANAGE_TERMINAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "base/compiler.h"

/* Signals that end, stop or resize us, read from a descriptor instead of breaking in. */
struct interrupts {
	int fd;
	sigset_t before;
};

enum event {
	EVENT_TIME, /* the deadline has come */
	EVENT_END,  /* somebody wants us to end */
	EVENT_STOP, /* Ctrl-Z */
	EVENT_SIZE, /* the terminal has another size */
	EVENT_KEY,  /* there is something to read from the terminal */
};

/* False, with errno, if the kernel does not give a descriptor. WITH_TERMINAL: also Ctrl-Z and
 * changes of the size. */
MUST_USE bool interrupts_open(struct interrupts *interrupts, bool with_terminal);
void interrupts_close(struct interrupts *interrupts);

/* Wait for a signal or, if KEYS_FD is not negative, for a key, but not past DEADLINE_NS. */
enum event interrupts_wait(struct interrupts *interrupts, int keys_fd, uint64_t deadline_ns);

enum key {
	KEY_NONE,
	KEY_UP = 256,
	KEY_DOWN,
	KEY_PAGE_UP,
	KEY_PAGE_DOWN,
	KEY_HOME,
};

/* The terminal as a screen: keys come at once and unseen, what was on it stays behind. */
struct terminal {
	int in_fd;
	int out_fd;
	struct termios before;
	bool active;
};

/* False, with errno: IN_FD is not a terminal that can do that. */
MUST_USE bool terminal_start(struct terminal *terminal, int in_fd, int out_fd);

/* Give it back as it was. Harmless when it is not active. */
void terminal_stop(struct terminal *terminal);

/* 80 by 24 if it does not tell. */
void terminal_size(const struct terminal *terminal, unsigned *columns, unsigned *lines);

/* A character or an enum key; KEY_NONE: nothing more to read now; -1: the terminal is gone. */
int terminal_read_key(const struct terminal *terminal);

/* Whether FD is a terminal that understands the usual control sequences. */
MUST_USE bool terminal_is_capable(int fd);

/* Write all of it; what the terminal does not take is lost. */
void terminal_write(const struct terminal *terminal, const char *bytes, size_t len);

#endif
