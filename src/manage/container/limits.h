/* SPDX-License-Identifier: Apache-2.0 */
/* The options of dvs dc create and set as the JSON that describes a DC's containers (container/description.h). */
#ifndef MANAGE_CONTAINER_LIMITS_H
#define MANAGE_CONTAINER_LIMITS_H

#include <jansson.h>

#include "manage/cli.h"

/* Put into DOCUMENT what the options say; the word "none" takes a limit away. Then the whole is checked. Returns an exit
 * status, EXIT_DONE if all is right; else the message, which names the option, is out. */
MUST_USE int limits_take(struct cli *cli, json_t *document);

/* Whether one of those options was given; its name, or NULL. */
const char *limits_given(const struct cli *cli);

/* "256M" to bytes; K, M, G and T are powers of 1024. False: it is no size. */
bool limits_size(const char *text, uint64_t *bytes);

/* The option that was given for the field where a complaint of the form "PATH: SENTENCE" begins; NULL: none does. *SENTENCE:
 * what follows the path. */
const char *limits_option(const struct cli *cli, const char *complaint, const char **sentence);

#endif
