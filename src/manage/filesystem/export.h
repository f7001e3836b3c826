/* SPDX-License-Identifier: Apache-2.0 */
/* What dvs fs export has in common with what it writes to: the walk tells a place, in the order of the tree, what there is. What a file system says is not believed: its names lead nowhere but below where it goes. */
#ifndef MANAGE_FILESYSTEM_EXPORT_H
#define MANAGE_FILESYSTEM_EXPORT_H

#include "manage/filesystem/fstree.h"

struct export;

/* A range of a file that has data; between them are holes. */
struct segment {
	uint64_t begin;
	uint64_t end;
};

/* One thing of the tree. */
struct export_what {
	const char *path; /* from the top of what is exported, which is "" */
	const char *name;
	const char *target; /* of a symbolic link */
	const char *same;   /* path of what was exported before and is this file, too; NULL: none */
	struct fs_attr attr;
	const struct segment *segments;
	size_t n_segments;
};

/* A directory that the walk is in. */
struct level {
	struct level *up; /* NULL: the top */
	struct export_what what;
	size_t path_len;
	uint64_t cookie;
	struct fsc_entries entries;
	uint8_t room[16384]; /* of the entries */
	/* the place's: */
	int fd;
	bool is_new;
};

/* All return an exit status, EXIT_DONE if all went well; else the message is out. */
struct export_place {
	int (*open)(struct export *export);
	/* A directory, which is export->level, and back out of it. */
	int (*enter)(struct export *export);
	int (*leave)(struct export *export);
	/* Something else in that directory: its data, in rising order, is between begin and end. SO_FAR: what came of that; not EXIT_DONE: nothing of it stays. */
	int (*begin)(struct export *export, const struct export_what *what);
	int (*data)(struct export *export, uint64_t offset, const void *bytes, size_t len);
	int (*end)(struct export *export, const struct export_what *what, int so_far);
	/* That was all. */
	int (*close)(struct export *export, int so_far);
};

struct export
{
	struct fstree tree;
	const char *from; /* the directory in the file system */
	const char *to;
	bool keeps_owners; /* and what gives rights on this node */
	bool replaces;
	uint64_t left_out; /* devices, and attributes that the place does not keep */
	const struct export_place *place;
	void *state; /* the place's */
	struct level *level;
	void *seen; /* files with several names, as tsearch(3) keeps them */
	struct segment *segments;
	char path[PATH_MAX];
};

extern const struct export_place export_to_directory;
extern const struct export_place export_to_archive;

/* Whether TO is an archive, by its name. */
bool export_is_archive(const char *to);
/* A name for what is not whole yet. False, with errno. */
#define EXPORT_BESIDE_BYTES 32
MUST_USE bool export_beside(char name[EXPORT_BESIDE_BYTES]);
/* FROM in FOLDER gets the name TO; without export->replaces only if nothing has it: EEXIST. False, with errno. */
MUST_USE bool export_rename(const struct export *export, int folder, const char *from,
			    const char *to);
/* Say what failed, by errno. */
int export_fail_errno(struct export *export, const char *path);
/* The mode that it gets. */
uint32_t export_mode(const struct export *export, const struct fs_attr *attr);
/* Hand each extended attribute of INO that is exported to TAKE, which returns an exit status. */
MUST_USE int export_xattrs(struct export *export, const struct export_what *what,
			   int (*take)(struct export *export, const struct export_what *what,
				       void *context, const char *name, const void *value,
				       size_t len),
			   void *context);

#endif
