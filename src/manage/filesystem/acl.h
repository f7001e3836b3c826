/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX access control lists: an archive has them as entries, a file system as extended attributes in the kernel's form (acl(5)). */
#ifndef MANAGE_FILESYSTEM_ACL_H
#define MANAGE_FILESYSTEM_ACL_H

#include <archive_entry.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* Whether NAME is that of an attribute which is an ACL. */
bool acl_is_name(const char *name);
/* Give ENTRY the ACL of attribute NAME. PROTO: it is none. NOMEM. */
DVS_MUST_USE dvs_err acl_to_entry(struct archive_entry *entry, const char *name,
				  const uint8_t *bytes, size_t len);
/* The attribute NAME of ENTRY. *BYTES is malloc'ed; NULL: it has none. BADARG: it names somebody whom nobody here knows, or makes no sense. NOMEM. */
DVS_MUST_USE dvs_err acl_from_entry(struct archive_entry *entry, const char *name, uint8_t **bytes,
				    size_t *len);

#endif
