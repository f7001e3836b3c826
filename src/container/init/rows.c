/* SPDX-License-Identifier: Apache-2.0 */
/* The table of programs. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "container/init/init.h"

/* The place of the first row whose id is not below ID. */
static size_t row_place(const struct init *init, uint64_t id)
{
	size_t low = 0;
	size_t high = init->n_rows;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (init->rows[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct row *row_find(struct init *init, uint64_t id)
{
	size_t place = row_place(init, id);

	return place < init->n_rows && init->rows[place]->id == id ? init->rows[place] : NULL;
}

struct row *row_after(struct init *init, uint64_t cursor)
{
	size_t place = cursor == UINT64_MAX ? init->n_rows : row_place(init, cursor + 1);

	return place < init->n_rows ? init->rows[place] : NULL;
}

/* How many strings LEN bytes have; SIZE_MAX when the last one has no end. */
static size_t count_strings(const uint8_t *bytes, size_t len)
{
	size_t n = 0;

	if (len > 0 && bytes[len - 1] != '\0')
		return SIZE_MAX;
	for (size_t i = 0; i < len; i++)
		n += bytes[i] == '\0';
	return n;
}

static char **string_table(char *at, size_t n)
{
	char **table = calloc(n + 1, sizeof(*table));

	for (size_t i = 0; table && i < n; i++) {
		table[i] = at;
		at += strlen(at) + 1;
	}
	return table;
}

static dvs_err row_texts(struct row *row, const struct init_start_req *req)
{
	size_t n_args = count_strings(req->args, req->n_args);
	size_t n_env = count_strings(req->env, req->n_env);

	if (n_args == 0 || n_args == SIZE_MAX || n_env == SIZE_MAX || req->args[0] == '\0')
		return DVS_BADARG;
	row->blob = malloc((size_t)req->n_args + req->n_env);
	row->cwd = strdup(req->cwd[0] ? req->cwd : "/");
	if (!row->blob || !row->cwd)
		return DVS_NOMEM;
	memcpy(row->blob, req->args, req->n_args);
	memcpy(row->blob + req->n_args, req->env, req->n_env);
	row->argv = string_table(row->blob, n_args);
	row->envp = string_table(row->blob + req->n_args, n_env);
	return row->argv && row->envp ? DVS_OK : DVS_NOMEM;
}

void row_close(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cleanup_close(&fds[i]);
}

static void row_destroy(struct row *row)
{
	cleanup_close(&row->exec_pipe);
	row_close(row->near, 3);
	row_close(row->far, 3);
	free(row->argv);
	free(row->envp);
	free(row->blob);
	free(row->cwd);
	free(row);
}

static struct row *row_fill(const struct init_start_req *req)
{
	struct row *row = calloc(1, sizeof(*row));

	if (!row)
		return NULL;
	row->id = req->id;
	row->state = ROW_STARTING;
	row->tty = req->tty;
	row->kept = req->kept;
	row->exec_pipe = -1;
	for (size_t i = 0; i < 3; i++)
		row->near[i] = row->far[i] = -1;
	row->backoff = (struct backoff){ .restart = req->restart,
					 .retries = req->retries,
					 .first_ms = req->backoff_ms };
	row->uid = req->uid;
	row->gid = req->gid;
	row->n_groups = req->n_groups;
	for (size_t i = 0; i < row->n_groups; i++)
		row->groups[i] = req->groups[i];
	row->n_rlimits = req->n_rlimits;
	memcpy(row->rlimits, req->rlimits, row->n_rlimits * sizeof(row->rlimits[0]));
	return row;
}

dvs_err row_new(struct init *init, const struct init_start_req *req, struct row **made)
{
	size_t place = row_place(init, req->id);
	struct row *row;
	dvs_err err;

	if (req->id == 0)
		return DVS_BADARG;
	if (place < init->n_rows && init->rows[place]->id == req->id)
		return DVS_EXISTS;
	if (init->n_rows >= init->n_rows_max)
		return DVS_FULL;
	row = row_fill(req);
	if (!row)
		return DVS_NOMEM;
	err = row_texts(row, req);
	if (err != DVS_OK) {
		row_destroy(row);
		return err;
	}
	memmove(&init->rows[place + 1], &init->rows[place],
		(init->n_rows - place) * sizeof(struct row *));
	init->rows[place] = row;
	init->n_rows++;
	*made = row;
	return DVS_OK;
}

void row_free(struct init *init, struct row *row)
{
	size_t place = row_place(init, row->id);

	memmove(&init->rows[place], &init->rows[place + 1],
		(init->n_rows - place - 1) * sizeof(struct row *));
	init->n_rows--;
	row_destroy(row);
}
