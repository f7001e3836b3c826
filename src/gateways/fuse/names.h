/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the kernel keeps.
 *
 * It may keep names of a directory under a lease 2 of it (fs.toml), until the lease is recalled; then each is expired, by the directory's number and the name. The kernel does that with the directory locked, and what it is just
 * being told it notes under that lock, too; except when it asks for a name again that it had kept once: then it asks and notes without a lock, and what it has been told could reach it behind the
 * expiry. So a name that it may know already is given to be kept only when the directory has been quiet for long, and its recall waits until who asked must have noted it. */
#ifndef GATEWAYS_FUSE_NAMES_H
#define GATEWAYS_FUSE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "gateways/fuse/nodes.h"
#include <dvs/error.h>

#define NAMES_NAME_MAX 255u

struct names;

struct names_name {
	uint64_t dir;
	uint32_t len;
	char text[NAMES_NAME_MAX + 1];
};

DVS_MUST_USE dvs_err names_make(struct nodes *nodes, struct names **names);
void names_free(struct names *names);

/* The kernel is going to be told that TEXT in DIR is INO (0: there is no such name), as it was at ASKED. IS_LOCKED: it surely notes that with DIR locked. True: it may keep it. */
bool names_tell(struct names *names, uint64_t dir, const char *text, uint64_t ino, uint64_t asked,
		bool is_locked);
/* The kernel has dropped that name, or is about to. */
void names_drop(struct names *names, uint64_t dir, const char *text);
struct names_place {
	uint64_t dir;
	const char *name;
};
/* The kernel is going to move what it has of name FROM to TO, or exchange them. MUST_EXPIRE: it keeps it at TO, and at FROM, where names may not be ours: expire it afterwards. */
void names_move(struct names *names, const struct names_place *from, const struct names_place *to,
		bool exchanges, uint64_t asked, bool must_expire[2]);
/* It is done, or has failed; IS_GONE: there is no FROM any more. */
void names_moved(struct names *names, const struct names_place *from, const struct names_place *to,
		 bool is_gone);
/* The kernel has forgotten INO, and so its names; a directory's with it. */
void names_forget(struct names *names, uint64_t ino);

/* ---- what is to be expired ---- */

/* The names of directory INO have been recalled, and its lease is over for nodes.h: no more are given to be kept. A number for names_next(), which may be called when *UNTIL_NS (base/clock.h) is past: by then all that are on their way are
 * noted. 0: none is kept. */
uint64_t names_recall(struct names *names, uint64_t ino, uint64_t *until_ns);
/* The next one that has been kept since before NUMBER; false: that was all. NAME begins as zeroes; what it was last time is expired now. */
bool names_next(struct names *names, uint64_t ino, uint64_t number, struct names_name *name);

#endif
