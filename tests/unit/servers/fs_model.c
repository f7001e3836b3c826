/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_model.h"

#include <string.h>

void model_init(struct model *model)
{
	memset(model, 0, sizeof(*model));
	model->file[1] = (struct model_file){ .is_there = true,
					      .ino = FS_ROOT,
					      .mode = S_IFDIR | 0755,
					      .nlink = 2,
					      .pins = 1,
					      .parent = 1,
					      .xattr = -1 };
}

uint32_t model_free_place(const struct model *model)
{
	for (uint32_t i = 2; i < MODEL_FILES; i++) {
		if (!model->file[i].is_there)
			return i;
	}
	return 0;
}

static bool is_dir(const struct model_file *file)
{
	return S_ISDIR(file->mode);
}

static bool member(const struct fs_who *who, uint32_t gid)
{
	bool is = who->gid == gid;

	for (uint32_t i = 0; i < who->n_groups; i++)
		is |= who->groups[i] == gid;
	return is;
}

static bool is_root(const struct fs_who *who)
{
	return who->uid == 0;
}

static bool owns(const struct fs_who *who, const struct model_file *file)
{
	return is_root(who) || who->uid == file->uid;
}

static bool may(const struct fs_who *who, const struct model_file *file, uint32_t mask)
{
	uint32_t bits = file->mode;

	if (is_root(who))
		return is_dir(file) || !(mask & 1) || bits & 0111;
	if (who->uid == file->uid)
		bits >>= 6;
	else if (member(who, file->gid))
		bits >>= 3;
	return (bits & mask) == mask;
}

static bool keeps_setgid(const struct fs_who *who, const struct model_file *file)
{
	return is_root(who) || member(who, file->gid);
}

static void sweep(struct model_file *file)
{
	if (file->nlink == 0 && file->pins == 0)
		file->is_there = false;
}

static void lose_name(struct model_file *file)
{
	file->nlink = is_dir(file) ? 0 : file->nlink - 1;
	sweep(file);
}

static dvs_err search(const struct model *m, const struct fs_who *who, uint32_t dir)
{
	if (!is_dir(&m->file[dir]))
		return DVS_NOTDIR;
	return may(who, &m->file[dir], 1) ? DVS_OK : DVS_NOACCESS;
}

/* Whether a new name may be made. */
static dvs_err room(const struct model *m, const struct fs_who *who, uint32_t dir, uint32_t name)
{
	dvs_err err = search(m, who, dir);

	if (err != DVS_OK)
		return err;
	if (m->file[dir].nlink == 0)
		return DVS_NOTFOUND;
	if (m->file[dir].entry[name])
		return DVS_EXISTS;
	return may(who, &m->file[dir], 3) ? DVS_OK : DVS_NOACCESS;
}

static void fill(const struct fs_who *who, const struct model_file *dir, struct model_file *file,
		 uint32_t mode, uint32_t mask)
{
	bool is_below_setgid = dir->mode & S_ISGID;

	*file = (struct model_file){ .is_there = true,
				     .mode = mode,
				     .uid = who->uid,
				     .gid = is_below_setgid ? dir->gid : who->gid,
				     .nlink = 1,
				     .xattr = -1 };
	if (S_ISDIR(mode)) {
		file->mode &= S_IFMT | 01777;
		file->mode |= is_below_setgid ? S_ISGID : 0;
		file->nlink = 2;
	} else if (is_below_setgid && (mode & 02010) == 02010 && !keeps_setgid(who, dir)) {
		file->mode &= ~(uint32_t)S_ISGID;
	}
	file->mode &= ~mask;
}

dvs_err model_make(struct model *m, const struct fs_who *who, uint32_t dir, uint32_t name,
		   uint32_t mode, uint32_t mask, uint32_t *made)
{
	dvs_err err = room(m, who, dir, name);

	if (err != DVS_OK)
		return err;
	*made = model_free_place(m);
	fill(who, &m->file[dir], &m->file[*made], mode, mask);
	m->file[*made].parent = dir;
	m->file[dir].entry[name] = *made;
	m->file[dir].nlink += S_ISDIR(mode);
	return DVS_OK;
}

dvs_err model_tmpfile(struct model *m, const struct fs_who *who, uint32_t dir, uint32_t mode,
		      uint32_t mask, bool linkable, uint32_t *made)
{
	dvs_err err = search(m, who, dir);

	if (err != DVS_OK)
		return err;
	if (!may(who, &m->file[dir], 3))
		return DVS_NOACCESS;
	*made = model_free_place(m);
	fill(who, &m->file[dir], &m->file[*made], S_IFREG | mode, mask);
	m->file[*made].nlink = 0;
	m->file[*made].pins = 1;
	m->file[*made].linkable = linkable;
	return DVS_OK;
}

dvs_err model_link(struct model *m, const struct fs_who *who, uint32_t file, uint32_t dir,
		   uint32_t name)
{
	dvs_err err = room(m, who, dir, name);

	if (err != DVS_OK)
		return err;
	if (is_dir(&m->file[file]))
		return DVS_DENIED;
	if (m->file[file].nlink == 0 && !m->file[file].linkable)
		return DVS_NOTFOUND;
	m->file[file].nlink++;
	m->file[file].linkable = false;
	m->file[dir].entry[name] = file;
	return DVS_OK;
}

static bool is_empty(const struct model_file *dir)
{
	for (uint32_t i = 0; i < MODEL_NAMES; i++) {
		if (dir->entry[i])
			return false;
	}
	return true;
}

static dvs_err may_take(const struct fs_who *who, const struct model_file *dir,
			const struct model_file *victim, bool wants_dir)
{
	if (!may(who, dir, 3))
		return DVS_NOACCESS;
	if (dir->mode & S_ISVTX && !owns(who, victim) && !owns(who, dir))
		return DVS_DENIED;
	if (wants_dir != is_dir(victim))
		return wants_dir ? DVS_NOTDIR : DVS_ISDIR;
	return DVS_OK;
}

dvs_err model_unlink(struct model *m, const struct fs_who *who, uint32_t dir, uint32_t name,
		     bool wants_dir)
{
	dvs_err err = search(m, who, dir);
	struct model_file *victim;

	if (err != DVS_OK)
		return err;
	if (!m->file[dir].entry[name])
		return DVS_NOTFOUND;
	victim = &m->file[m->file[dir].entry[name]];
	err = may_take(who, &m->file[dir], victim, wants_dir);
	if (err == DVS_OK && wants_dir && !is_empty(victim))
		err = DVS_NOTEMPTY;
	if (err != DVS_OK)
		return err;
	m->file[dir].entry[name] = 0;
	m->file[dir].nlink -= wants_dir;
	lose_name(victim);
	return DVS_OK;
}

static bool is_above(const struct model *m, uint32_t above, uint32_t dir)
{
	for (; dir != above; dir = m->file[dir].parent) {
		if (dir == 1 || !m->file[dir].is_there)
			return false;
	}
	return true;
}

static dvs_err may_rename(const struct model *m, const struct fs_who *who, uint32_t dir,
			  uint32_t old, uint32_t new_dir, uint32_t new, bool swaps)
{
	const struct model_file *from = &m->file[old], *to = &m->file[new];
	dvs_err err = may_take(who, &m->file[dir], from, is_dir(from));

	if (err != DVS_OK)
		return err;
	if (new)
		err = may_take(who, &m->file[new_dir], to, swaps ? is_dir(to) : is_dir(from));
	else if (!may(who, &m->file[new_dir], 3))
		err = DVS_NOACCESS;
	if (err != DVS_OK)
		return err;
	if (dir != new_dir && is_dir(from) && !may(who, from, 2))
		return DVS_NOACCESS;
	if (dir != new_dir && swaps && is_dir(to) && !may(who, to, 2))
		return DVS_NOACCESS;
	return new && !swaps &&is_dir(to) && !is_empty(to) ? DVS_NOTEMPTY : DVS_OK;
}

static dvs_err find_both(const struct model *m, const struct fs_who *who, uint32_t dir,
			 uint32_t old, uint32_t new_dir, uint32_t new, uint32_t flags)
{
	if (!old)
		return DVS_NOTFOUND;
	if (new &&flags & 1)
		return DVS_EXISTS;
	if (!new && (flags & 2 || m->file[new_dir].nlink == 0))
		return DVS_NOTFOUND;
	if (dir != new_dir && is_dir(&m->file[old]) && is_above(m, old, new_dir))
		return DVS_BADARG;
	if (dir != new_dir && new &&is_dir(&m->file[new]) && is_above(m, new, dir))
		return flags & 2 ? DVS_BADARG : DVS_NOTEMPTY;
	(void)who;
	return DVS_OK;
}

dvs_err model_rename(struct model *m, const struct fs_who *who, uint32_t dir, uint32_t name,
		     uint32_t new_dir, uint32_t new_name, uint32_t flags)
{
	struct model_file *from = &m->file[dir], *to = &m->file[new_dir];
	uint32_t old = from->entry[name], new = to->entry[new_name];
	dvs_err err = flags > 2 ? DVS_BADARG : search(m, who, dir);

	if (err == DVS_OK)
		err = search(m, who, new_dir);
	if (err == DVS_OK)
		err = find_both(m, who, dir, old, new_dir, new, flags);
	if (err != DVS_OK || old == new)
		return err;
	err = may_rename(m, who, dir, old, new_dir, new, flags & 2);
	if (err != DVS_OK)
		return err;
	from->entry[name] = flags & 2 ? new : 0;
	to->entry[new_name] = old;
	if (is_dir(&m->file[old])) {
		from->nlink--;
		to->nlink++;
		m->file[old].parent = new_dir;
	}
	if (new &&is_dir(&m->file[new])) {
		to->nlink--;
		from->nlink += flags & 2 ? 1 : 0;
		if (flags & 2)
			m->file[new].parent = dir;
	}
	if (new && !(flags & 2))
		lose_name(&m->file[new]);
	return DVS_OK;
}

dvs_err model_chmod(struct model *m, const struct fs_who *who, uint32_t file, uint32_t mode)
{
	struct model_file *f = &m->file[file];

	if (!owns(who, f))
		return DVS_DENIED;
	if (!keeps_setgid(who, f))
		mode &= ~(uint32_t)S_ISGID;
	f->mode = (f->mode & S_IFMT) | (mode & 07777);
	return DVS_OK;
}

dvs_err model_chown(struct model *m, const struct fs_who *who, uint32_t file, uint32_t uid,
		    uint32_t gid)
{
	struct model_file *f = &m->file[file];

	if (!is_root(who) &&
	    (who->uid != f->uid || uid != f->uid || (gid != f->gid && !member(who, gid))))
		return DVS_DENIED;
	if (!is_dir(f)) {
		if (f->mode & 010 || !keeps_setgid(who, f))
			f->mode &= ~(uint32_t)S_ISGID;
		f->mode &= ~(uint32_t)S_ISUID;
	}
	f->uid = uid;
	f->gid = gid;
	return DVS_OK;
}

dvs_err model_truncate(struct model *m, const struct fs_who *who, uint32_t file, uint64_t size)
{
	struct model_file *f = &m->file[file];

	if (!S_ISREG(f->mode))
		return is_dir(f) ? DVS_ISDIR : DVS_BADARG;
	if (!may(who, f, 2))
		return DVS_NOACCESS;
	f->size = size;
	if (is_root(who))
		return DVS_OK;
	if (f->mode & 010 || !member(who, f->gid))
		f->mode &= ~(uint32_t)S_ISGID;
	f->mode &= ~(uint32_t)S_ISUID;
	return DVS_OK;
}

static dvs_err may_write_xattr(const struct fs_who *who, const struct model_file *f)
{
	if (!S_ISREG(f->mode) && !is_dir(f))
		return DVS_DENIED;
	if (is_dir(f) && f->mode & S_ISVTX && !owns(who, f))
		return DVS_DENIED;
	return may(who, f, 2) ? DVS_OK : DVS_NOACCESS;
}

dvs_err model_set_xattr(struct model *m, const struct fs_who *who, uint32_t file, int len,
			uint32_t flags)
{
	struct model_file *f = &m->file[file];
	dvs_err err = may_write_xattr(who, f);

	if (err != DVS_OK)
		return err;
	if (flags & 1 && f->xattr >= 0)
		return DVS_EXISTS;
	if (flags & 2 && f->xattr < 0)
		return DVS_NOATTR;
	f->xattr = len;
	return DVS_OK;
}

dvs_err model_remove_xattr(struct model *m, const struct fs_who *who, uint32_t file)
{
	struct model_file *f = &m->file[file];
	dvs_err err = may_write_xattr(who, f);

	if (err == DVS_OK && f->xattr < 0)
		err = DVS_NOATTR;
	if (err == DVS_OK)
		f->xattr = -1;
	return err;
}

dvs_err model_access(const struct model *m, const struct fs_who *who, uint32_t file, uint32_t mask)
{
	return may(who, &m->file[file], mask) ? DVS_OK : DVS_NOACCESS;
}

void model_unpin(struct model *m, uint32_t file)
{
	m->file[file].pins--;
	sweep(&m->file[file]);
}
