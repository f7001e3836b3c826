/* SPDX-License-Identifier: Apache-2.0 */
/* The log of one program: what it wrote, in lines of the form that CRI has, "TIME STREAM FLAG TEXT\n", in at most two files of LOGS_FILE_BYTES_MAX.
 *
 *	FOLDER/ID.START    both in 16 hexadecimal digits; START is the place of the file's first byte in all that was ever written
 *
 * A cursor is such a place, so it stays good when the oldest file goes and when the agent is started again. What is written is in the file at once: a line that has no end yet is a
 * piece with flag P. The time is an input. */
#ifndef AGENT_LOGS_H
#define AGENT_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#define LOGS_FILE_BYTES_MAX (8u << 20)
#define LOGS_TEXT_MAX 16384u /* a longer line is cut into pieces */
#define LOGS_ALL UINT32_MAX  /* tail */
/* The time, the stream, the flag, the blanks between and the end of the line. */
#define LOGS_HEAD_BYTES 40u
/* Room for at least one line. */
#define LOGS_READ_MIN (LOGS_TEXT_MAX + LOGS_HEAD_BYTES + 1)

enum logs_stream { LOGS_STDOUT = 1, LOGS_STDERR = 2 };

struct logs;

/* The log of program ID in FOLDER (which is made when something is written); it goes on where it was. NOMEM, IO. */
DVS_MUST_USE dvs_err logs_open(const char *folder, uint64_t id, struct logs **logs);
/* NULL is fine. */
void logs_close(struct logs *logs);
/* Remove its files. */
void logs_remove(struct logs *logs);
/* What cannot be written (a full disk) is lost. */
void logs_append(struct logs *logs, enum logs_stream stream, const void *data, size_t len,
		 uint64_t now_ns);
/* The place after the last line. */
uint64_t logs_end(const struct logs *logs);
/* Lines from *CURSOR on into DATA (room for SIZE, at least LOGS_READ_MIN), as many whole ones as fit; returns how many bytes, and moves *CURSOR behind them. A cursor that is too
 * old begins with the oldest line. SINCE_NS (CLOCK_REALTIME): older ones are left out. With *CURSOR 0 and TAIL not LOGS_ALL: only so many last lines, the pieces of one being one. */
size_t logs_read(struct logs *logs, uint64_t *cursor, uint32_t tail, uint64_t since_ns,
		 uint8_t *data, size_t size);

#endif
