/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a file server (src/proto/fs.toml, docs/decisions/0026), for processes with many threads.
 *
 *	struct fsc *fsc;
 *	struct fsc_thread *me;
 *	struct fsc_who *who;
 *	fsc_open(NULL, "web", "home", &(struct fsc_config){ .patience_ms = 60000 }, &fsc, why);
 *	fsc_enter(fsc, &me);				each thread, for itself
 *	fsc_who_get(me, &(struct fsc_identity){ .uid = 1000, .gid = 1000 }, &who);
 *	fsc_lookup(me, who, FSC_ROOT, "index.html", 10, &attr);
 *	fsc_open_file(me, who, attr.ino, O_RDONLY, &handle, &attr);
 *	fsc_read(me, handle, 0, 65536, &data, &len);	DATA stands in the window that the server wrote to
 *	fsc_release(me, handle);
 *
 * A struct fsc is one session with the server: what is open, locked and leased is the session's, whichever thread asked. Each thread has an endpoint of its own.
 *
 * When the server goes, calls wait for the next one, up to patience_ms. The first thread that is answered RESUME tells it again who the identities are, what is open and what is
 * locked, while the others wait; then they ask again. If the session itself has ended (this node was cut off), a new one is begun: files are opened again by their numbers, and
 * those that had locks, or have no name any more, are lost: their handles give STALE.
 *
 * A program that answers recalls (struct fsc_recalls) gets leases: attr.lease is 1 in the attributes of a file that it may remember until it is told otherwise. What came from the server says
 * nothing of the order of answers and recalls: a program that remembers must look whether a recall came between asking and remembering.
 *
 * Errors: those of the operation (fs.toml), and NOMEM; STALE: the handle was lost; NODEST, PEERDEAD, NODEDOWN, NOQUORUM, NODVSD: no server answered within patience_ms; IO: a write to the end of a
 * file was lost with its server, and may have been done. */
#ifndef CLIENT_FS_CLIENT_H
#define CLIENT_FS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/dvk.h>
#include <dvs/m3ipc.h>

#include "base/compiler.h"
#include "proto/fs_proto.h"

#define FSC_ROOT 1u
#define FSC_NAME_MAX 255u
#define FSC_TARGET_MAX 4095u
#define FSC_XATTR_MAX 65536u
#define FSC_IO_MAX ((size_t)1 << 20) /* bytes of one read or write */
#define FSC_WHY_MAX 255u
#define FSC_GROUPS_MAX 4096u

/* fsc_identity.flags, as op who: what a superuser may. */
#define FSC_MAY_ALL 255u

struct fsc;
struct fsc_thread;
struct fsc_who;

/* How leases end. */
struct fsc_recalls {
	void *context;
	/* The lease on RECALL->ino is over. When it returns true nothing old can be seen any more; false: fsc_recalled() will say when. By a thread of the session's own, one after the other; it must not call the server. */
	bool (*recalled)(void *context, const struct fs_recall *recall);
	/* Up to MAX of the leases that are held, from *CURSOR on, which begins as 0, each as op hold wants it; 0: there are no more. NULL: none is taken along to another server. As lost() it must not wait. */
	size_t (*held)(void *context, uint64_t *cursor, uint64_t *inos, size_t max);
	/* All leases are over: nobody knows what others do meanwhile. By any thread that asks; it must not wait for another one that may be asking. */
	void (*lost)(void *context);
};

struct fsc_config {
	uint32_t open_ms;		   /* how long fsc_open() waits for a server */
	uint32_t patience_ms;		   /* how long a call does */
	const struct fsc_recalls *recalls; /* NULL: no leases */
	bool wants_names;		   /* leases 2 of directories */
};

/* A session with file system NAME of DC. RUN_DIR as in dvk_admin_open(). NODC, NOTFOUND, DENIED, NODEST: no server runs (yet). WHY gets a sentence. */
DVS_MUST_USE dvs_err fsc_open(const char *run_dir, const char *dc, const char *name,
			      const struct fsc_config *config, struct fsc **fsc,
			      char why[FSC_WHY_MAX + 1]);
/* The same over a link with the DC that the caller keeps; SERVER: its endpoint. */
DVS_MUST_USE dvs_err fsc_open_on(struct dvk *dvk, dvs_ep server, const struct fsc_config *config,
				 struct fsc **fsc);
/* All threads have left. Ends the session. NULL is fine. */
void fsc_close(struct fsc *fsc);

/* An endpoint for the calling thread. */
DVS_MUST_USE dvs_err fsc_enter(struct fsc *fsc, struct fsc_thread **thread);
void fsc_leave(struct fsc_thread *me);

/* The recall of that number is over. */
DVS_MUST_USE dvs_err fsc_recalled(struct fsc_thread *me, uint64_t number);

/* ---- identities ---- */

struct fsc_identity {
	uint32_t uid;
	uint32_t gid;
	uint32_t flags; /* FSC_MAY_ALL or less; the server gives them to managers only */
	uint32_t n_groups;
	const uint32_t *groups;
};

/* Who asks. Those that were used last stay known. To be given back. */
DVS_MUST_USE dvs_err fsc_who_get(struct fsc_thread *me, const struct fsc_identity *identity,
				 struct fsc_who **who);
void fsc_who_put(struct fsc_thread *me, struct fsc_who *who);

/* ---- names ---- */

struct fsc_name {
	const char *text;
	size_t len;
};

DVS_MUST_USE dvs_err fsc_lookup(struct fsc_thread *me, const struct fsc_who *who, uint64_t parent,
				struct fsc_name name, struct fs_attr *attr);

struct fsc_new {
	uint64_t parent;
	struct fsc_name name;
	uint32_t mode;
	uint32_t umask;
	uint32_t rdev;
};
/* HANDLE not NULL: it is opened as FLAGS say; what is there already, too, unless O_EXCL is among them. */
DVS_MUST_USE dvs_err fsc_create(struct fsc_thread *me, struct fsc_who *who,
				const struct fsc_new *what, uint32_t flags, uint32_t *handle,
				struct fs_attr *attr);
DVS_MUST_USE dvs_err fsc_tmpfile(struct fsc_thread *me, struct fsc_who *who,
				 const struct fsc_new *what, uint32_t flags, uint32_t *handle,
				 struct fs_attr *attr);
DVS_MUST_USE dvs_err fsc_symlink(struct fsc_thread *me, const struct fsc_who *who, uint64_t parent,
				 struct fsc_name name, struct fsc_name target,
				 struct fs_attr *attr);
DVS_MUST_USE dvs_err fsc_link(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
			      uint64_t parent, struct fsc_name name, struct fs_attr *attr);
DVS_MUST_USE dvs_err fsc_unlink(struct fsc_thread *me, const struct fsc_who *who, uint64_t parent,
				struct fsc_name name, bool is_dir, struct fs_unlink_rep *rep);
DVS_MUST_USE dvs_err fsc_rename(struct fsc_thread *me, const struct fsc_who *who, uint64_t parent,
				struct fsc_name name, uint64_t new_parent, struct fsc_name new_name,
				uint32_t flags, struct fs_rename_rep *rep);
/* TARGET gets a zero byte behind it. */
DVS_MUST_USE dvs_err fsc_readlink(struct fsc_thread *me, uint64_t ino,
				  char target[FSC_TARGET_MAX + 1], size_t *len);

/* Entries of a directory as they came in one call. */
struct fsc_entries {
	const uint8_t *at;
	const uint8_t *end;
	uint32_t left;
	bool with_attr;
	bool is_end; /* there are none behind these */
};
/* Entries behind COOKIE into ROOM (which must outlive ENTRIES). HANDLE 0: by the rights of WHO. */
DVS_MUST_USE dvs_err fsc_readdir(struct fsc_thread *me, const struct fsc_who *who, uint32_t handle,
				 uint64_t ino, uint64_t cookie, bool with_attr, void *room,
				 size_t room_bytes, struct fsc_entries *entries);
/* The next one; without attributes ATTR is as it was (it may be NULL). False: that was all. */
bool fsc_entry_next(struct fsc_entries *entries, struct fs_dirent *entry, struct fs_attr *attr);

/* ---- attributes ---- */

DVS_MUST_USE dvs_err fsc_getattr(struct fsc_thread *me, uint64_t ino, struct fs_attr *attr);
/* HANDLE not 0: a file opened for writing, whose size is to be changed. */
DVS_MUST_USE dvs_err fsc_setattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
				 uint32_t handle, const struct fs_change *change,
				 struct fs_attr *attr);
DVS_MUST_USE dvs_err fsc_access(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
				uint32_t mask);
/* As getxattr(2): with room 0 only the length. RANGE. */
DVS_MUST_USE dvs_err fsc_getxattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
				  struct fsc_name name, void *room, size_t room_bytes, size_t *len);
DVS_MUST_USE dvs_err fsc_setxattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
				  struct fsc_name name, const void *value, size_t len,
				  uint32_t flags);
DVS_MUST_USE dvs_err fsc_listxattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
				   void *room, size_t room_bytes, size_t *len);
DVS_MUST_USE dvs_err fsc_removexattr(struct fsc_thread *me, const struct fsc_who *who, uint64_t ino,
				     struct fsc_name name);
DVS_MUST_USE dvs_err fsc_statfs(struct fsc_thread *me, struct fs_statfs_rep *rep);

/* ---- open files ---- */

DVS_MUST_USE dvs_err fsc_open_file(struct fsc_thread *me, struct fsc_who *who, uint64_t ino,
				   uint32_t flags, uint32_t *handle, struct fs_attr *attr);
/* HANDLE is free again in any case. */
DVS_MUST_USE dvs_err fsc_release(struct fsc_thread *me, uint32_t handle);
#define FSC_RELEASE_MAX 256u
/* The same of N handles, at most FSC_RELEASE_MAX, at once. */
DVS_MUST_USE dvs_err fsc_release_many(struct fsc_thread *me, const uint32_t *handles, uint32_t n);
/* *DATA stands in the window that the server wrote to, until this thread calls again; the server can change it at any time. */
DVS_MUST_USE dvs_err fsc_read(struct fsc_thread *me, uint32_t handle, uint64_t offset, size_t bytes,
			      const void **data, size_t *len);
#define FSC_WRITE_APPEND 1u
#define FSC_WRITE_DURABLE 2u
#define FSC_WRITE_DROP 4u /* set-id bits */
DVS_MUST_USE dvs_err fsc_write(struct fsc_thread *me, uint32_t handle, uint32_t flags,
			       uint64_t offset, const void *data, size_t len,
			       struct fs_write_rep *rep);
/* HANDLE 0: the whole file system. */
DVS_MUST_USE dvs_err fsc_fsync(struct fsc_thread *me, uint32_t handle, bool data_only);
DVS_MUST_USE dvs_err fsc_allocate(struct fsc_thread *me, uint32_t handle, uint32_t mode,
				  uint64_t offset, uint64_t bytes);
/* WHENCE: 3 SEEK_DATA, 4 SEEK_HOLE. */
DVS_MUST_USE dvs_err fsc_seek(struct fsc_thread *me, uint32_t handle, uint32_t whence,
			      uint64_t offset, uint64_t *found);
DVS_MUST_USE dvs_err fsc_copy(struct fsc_thread *me, const struct fs_copy_req *what,
			      struct fs_copy_rep *rep);

/* ---- locks ----
 * WHAT as op lock; the flag of reclaim is the session's own business. One that waits (flag 1) is ended by fsc_cancel() of another thread: WOKEN. */
#define FSC_LOCK_FLOCK 1u
#define FSC_LOCK_FCNTL 2u
#define FSC_LOCK_SHARED 0u
#define FSC_LOCK_EXCLUSIVE 1u
#define FSC_LOCK_NONE 2u
#define FSC_LOCK_WAIT 1u
DVS_MUST_USE dvs_err fsc_lock(struct fsc_thread *me, const struct fs_lock_req *what);
DVS_MUST_USE dvs_err fsc_test_lock(struct fsc_thread *me, const struct fs_test_lock_req *what,
				   struct fs_test_lock_rep *rep);
DVS_MUST_USE dvs_err fsc_cancel(struct fsc_thread *me, uint32_t handle, uint8_t kind,
				uint64_t owner);
/* Whether OWNER has locks of fcntl(2) on the file behind HANDLE: those end with any close of it. */
bool fsc_has_locks(struct fsc_thread *me, uint32_t handle, uint64_t owner);
/* Whether any lock was got by HANDLE. */
bool fsc_holds_locks(struct fsc_thread *me, uint32_t handle);

#endif
