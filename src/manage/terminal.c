/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"

/* The other screen, and back; the cursor away, and back. */
#define SCREEN_BEGIN "\033[?1049h\033[?25l"
#define SCREEN_END "\033[?25h\033[?1049l"

bool interrupts_open(struct interrupts *interrupts, bool with_terminal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (with_terminal) {
		sigaddset(&set, SIGWINCH);
		sigaddset(&set, SIGTSTP);
	}
	interrupts->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (interrupts->fd < 0)
		return false;
	if (sigprocmask(SIG_BLOCK, &set, &interrupts->before) == 0)
		return true;
	close(interrupts->fd);
	return false;
}

void interrupts_close(struct interrupts *interrupts)
{
	sigprocmask(SIG_SETMASK, &interrupts->before, NULL);
	close(interrupts->fd);
	interrupts->fd = -1;
}

/* The event of the signal that came, EVENT_TIME if none did. */
static enum event take_signal(struct interrupts *interrupts)
{
	struct signalfd_siginfo info;

	if (read(interrupts->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return EVENT_TIME;
	if (info.ssi_signo == SIGWINCH)
		return EVENT_SIZE;
	return info.ssi_signo == SIGTSTP ? EVENT_STOP : EVENT_END;
}

enum event interrupts_wait(struct interrupts *interrupts, int keys_fd, uint64_t deadline_ns)
{
	/* poll() passes over negative descriptors. */
	struct pollfd fds[] = { { .fd = interrupts->fd, .events = POLLIN },
				{ .fd = keys_fd, .events = POLLIN } };

	for (;;) {
		int n = poll(fds, 2, clock_poll_ms(deadline_ns));
		enum event event;

		if (n == 0)
			return EVENT_TIME;
		if (n < 0 && errno != EINTR)
			return EVENT_END;
		if (n > 0 && fds[0].revents) {
			event = take_signal(interrupts);
			if (event != EVENT_TIME)
				return event;
		}
		if (n > 0 && fds[1].revents)
			return EVENT_KEY;
	}
}

bool terminal_is_capable(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && term[0] && strcmp(term, "dumb") != 0;
}

void terminal_write(const struct terminal *terminal, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(terminal->out_fd, bytes, len);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
}

bool terminal_start(struct terminal *terminal, int in_fd, int out_fd)
{
	struct termios raw;

	*terminal = (struct terminal){ .in_fd = in_fd, .out_fd = out_fd };
	if (tcgetattr(in_fd, &terminal->before) != 0)
		return false;
	raw = terminal->before;
	/* Ctrl-C and Ctrl-Z stay signals. */
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(in_fd, TCSAFLUSH, &raw) != 0)
		return false;
	terminal->active = true;
	terminal_write(terminal, SCREEN_BEGIN, strlen(SCREEN_BEGIN));
	return true;
}

void terminal_stop(struct terminal *terminal)
{
	if (!terminal->active)
		return;
	terminal->active = false;
	terminal_write(terminal, SCREEN_END, strlen(SCREEN_END));
	tcsetattr(terminal->in_fd, TCSAFLUSH, &terminal->before);
}

void terminal_size(const struct terminal *terminal, unsigned *columns, unsigned *lines)
{
	struct winsize size;

	*columns = 80;
	*lines = 24;
	if (ioctl(terminal->out_fd, TIOCGWINSZ, &size) != 0)
		return;
	if (size.ws_col > 0)
		*columns = size.ws_col;
	if (size.ws_row > 0)
		*lines = size.ws_row;
}

/* The rest of a sequence that began with ESC: "[A", "[5~"... Unknown ones are swallowed. */
static int read_sequence(const struct terminal *terminal)
{
	char byte = 0;
	char digit = 0;

	if (read(terminal->in_fd, &byte, 1) != 1 || (byte != '[' && byte != 'O'))
		return KEY_NONE;
	while (read(terminal->in_fd, &byte, 1) == 1) {
		if ((byte >= '0' && byte <= '9') || byte == ';') {
			digit = digit ? digit : byte;
			continue;
		}
		break;
	}
	if (byte == 'A')
		return KEY_UP;
	if (byte == 'B')
		return KEY_DOWN;
	if (byte == 'H' || (byte == '~' && digit == '1'))
		return KEY_HOME;
	if (byte == '~' && digit == '5')
		return KEY_PAGE_UP;
	return byte == '~' && digit == '6' ? KEY_PAGE_DOWN : KEY_NONE;
}

int terminal_read_key(const struct terminal *terminal)
{
	struct pollfd fd = { .fd = terminal->in_fd, .events = POLLIN };
	char byte;
	ssize_t n = read(terminal->in_fd, &byte, 1);

	if (n == 1)
		return byte == '\033' ? read_sequence(terminal) : (unsigned char)byte;
	/* A terminal that hung up is readable without end, and gives nothing. */
	if (poll(&fd, 1, 0) > 0 && (fd.revents & (POLLHUP | POLLERR)))
		return -1;
	return n < 0 && errno != EAGAIN && errno != EINTR ? -1 : KEY_NONE;
}
