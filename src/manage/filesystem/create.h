/* SPDX-License-Identifier: Apache-2.0 */
/* Making a file system, for the commands that do. */
#ifndef MANAGE_FILESYSTEM_CREATE_H
#define MANAGE_FILESYSTEM_CREATE_H

#include "manage/filesystem/filesystem.h"

/* Make what FS->record says, which has all but a name, id and endpoint. WAITS: until it is served; if it cannot be, nothing of it stays. An exit status, EXIT_DONE if all went well; else the message is out. */
MUST_USE int filesystem_create(struct filesystem *fs, bool waits);
/* Start the agents of the record's nodes, which start its servers. The same. */
MUST_USE int filesystem_start_agents(struct filesystem *fs);

#endif
