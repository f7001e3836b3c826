/* SPDX-License-Identifier: Apache-2.0 */
/* dvs cp: files into containers, out of them, and from one into another. They go as an archive, piece by piece: a source gives, a sink takes. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client/calls.h"
#include "manage/container/archive.h"
#include "manage/container/place.h"
#include "manage/progress.h"

#define PIECE_MS \
	(10u * 60 * 1000)  /* what the other side has to do for one piece, the last one included */
#define HEADER_BYTES 1024u /* about what an archive takes for each entry beside its bytes */
#define OWNER_OF_ARCHIVE UINT32_MAX

struct copy {
	struct cli *cli;
	struct reach reach;
	struct place from;
	struct place to;
	struct archive_end source; /* of files here */
	struct archive_end sink;
	bool has_source, has_sink;
	bool sink_stopped;    /* the thread took no more, and knows why */
	uint64_t from_stream; /* of containers; 0: none is open */
	uint64_t to_stream;
	bool from_directory;
	uint64_t total_bytes; /* of the archive, about; 0: not known */
	uint64_t done_bytes;
	struct progress progress;
	union {
		struct agent_stream_read_rep read;
		struct agent_stream_write_req write;
		struct agent_copy_in_req in;
		struct agent_copy_out_req out;
	} body;
	uint8_t piece[65535];
	size_t len;
	bool eof;
};

static int fail_agent(struct copy *copy, dvs_err err, const struct place *place)
{
	progress_end(&copy->progress);
	return reach_fail(copy->cli, copy->reach.agents, err, "copy %s", place->word);
}

static int fail_here(struct copy *copy, const struct archive_end *end, const struct place *place)
{
	progress_end(&copy->progress);
	if (end->why[0])
		cli_note(copy->cli, "copy %s: %s", place->word, end->why);
	else
		cli_fail(copy->cli, end->err, "copy %s", place->word);
	return EXIT_FAILED;
}

/* ---- the source ---- */

static int open_from_container(struct copy *copy)
{
	struct agent_copy_out_rep rep;
	struct agent_copy_out_req *req = &copy->body.out;
	dvs_err err;

	*req = (struct agent_copy_out_req){ .dc = "" };
	memcpy(req->dc, copy->from.dc, sizeof(req->dc));
	strcpy(req->path, copy->from.path);
	/* place_parse() has left room for it. */
	if (copy->from.contents && strcmp(copy->from.path, "/") != 0)
		strcat(req->path, "/.");
	err = agent_call_copy_out(copy->reach.agents, copy->from.node, req, &rep, PIECE_MS);
	if (err != DVS_OK)
		return fail_agent(copy, err, &copy->from);
	copy->from_stream = rep.stream;
	copy->from_directory = rep.directory != 0;
	copy->total_bytes = rep.total_bytes + rep.entries * HEADER_BYTES;
	return EXIT_DONE;
}

static int open_from_here(struct copy *copy, const char *name)
{
	struct stat status;
	dvs_err err;

	if (lstat(copy->from.path, &status) != 0)
		return cli_fail_errno(copy->cli, errno, "see how it is spelled", "copy %s",
				      copy->from.word);
	copy->from_directory = S_ISDIR(status.st_mode);
	if (copy->from.must_be_directory && !copy->from_directory)
		return cli_fail_errno(copy->cli, ENOTDIR, "leave out the '/' at its end", "copy %s",
				      copy->from.word);
	copy->has_source = true;
	err = archive_pack(&copy->source, copy->from.path, name);
	if (err != DVS_OK) {
		copy->source.err = err;
		return fail_here(copy, &copy->source, &copy->from);
	}
	copy->total_bytes = copy->source.bytes + copy->source.entries * HEADER_BYTES;
	return EXIT_DONE;
}

static int give_from_container(struct copy *copy)
{
	dvs_err err = agent_call_stream_read(
		copy->reach.agents, copy->from.node,
		&(struct agent_stream_read_req){ .stream = copy->from_stream }, &copy->body.read,
		PIECE_MS);

	if (err != DVS_OK) {
		copy->from_stream = 0;
		return fail_agent(copy, err, &copy->from);
	}
	copy->len = copy->body.read.n_data;
	memcpy(copy->piece, copy->body.read.data, copy->len);
	copy->eof = copy->body.read.eof != 0;
	if (copy->eof)
		copy->from_stream = 0;
	return EXIT_DONE;
}

static int give_from_fd(struct copy *copy, int fd)
{
	ssize_t n;

	do {
		n = read(fd, copy->piece, sizeof(copy->piece));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return cli_fail_errno(copy->cli, errno, "", "copy %s", copy->from.word);
	copy->len = (size_t)n;
	copy->eof = n == 0;
	return EXIT_DONE;
}

static int give(struct copy *copy)
{
	if (copy->from.kind == PLACE_CONTAINER)
		return give_from_container(copy);
	return give_from_fd(copy, copy->from.kind == PLACE_STREAM ? STDIN_FILENO : copy->source.fd);
}

/* ---- the sink ---- */

/* Whether a path of a container is a directory: it is looked at as if it were to be copied. */
static bool is_directory_there(struct copy *copy)
{
	struct agent_copy_out_rep rep;
	struct agent_copy_out_req *req = &copy->body.out;
	dvs_err err;

	if (copy->to.must_be_directory || strcmp(copy->to.path, "/") == 0)
		return true;
	*req = (struct agent_copy_out_req){ .dc = "" };
	memcpy(req->dc, copy->to.dc, sizeof(req->dc));
	memcpy(req->path, copy->to.path, sizeof(req->path));
	err = agent_call_copy_out(copy->reach.agents, copy->to.node, req, &rep, PIECE_MS);
	if (err != DVS_OK)
		return false;
	err = agent_call_stream_close(copy->reach.agents, copy->to.node,
				      &(struct agent_stream_close_req){ .stream = rep.stream },
				      NULL, REACH_MS);
	/* One that has ended already is as good. */
	return rep.directory != 0 && (err == DVS_OK || err == DVS_NOTFOUND);
}

static int open_to_container(struct copy *copy, bool into)
{
	struct agent_copy_in_req *req = &copy->body.in;
	struct agent_copy_in_rep rep;
	/* Users of this machine mean nothing there. */
	uint32_t owner = copy->from.kind == PLACE_HERE ? 0 : OWNER_OF_ARCHIVE;
	dvs_err err;

	*req = (struct agent_copy_in_req){ .into = into, .uid = owner, .gid = owner };
	memcpy(req->dc, copy->to.dc, sizeof(req->dc));
	memcpy(req->path, copy->to.path, sizeof(req->path));
	err = agent_call_copy_in(copy->reach.agents, copy->to.node, req, &rep, PIECE_MS);
	if (err != DVS_OK)
		return fail_agent(copy, err, &copy->to);
	copy->to_stream = rep.stream;
	return EXIT_DONE;
}

/* Into the directory that the path is, or as what it names. */
static int open_to_here(struct copy *copy)
{
	struct stat status;
	bool exists = stat(copy->to.path, &status) == 0;
	bool into = exists && S_ISDIR(status.st_mode);
	char parent[sizeof(copy->to.path)];
	const char *name = place_name(&copy->to);
	char *slash;
	dvs_err err;

	if ((copy->to.must_be_directory || copy->from.contents) && !into)
		return cli_fail_errno(copy->cli, exists ? ENOTDIR : ENOENT,
				      "make the directory first", "copy to %s", copy->to.word);
	if (exists && !into && copy->from_directory)
		return cli_fail_errno(copy->cli, ENOTDIR,
				      "a directory cannot take the place of a file", "copy to %s",
				      copy->to.word);
	snprintf(parent, sizeof(parent), "%s", copy->to.path);
	slash = strrchr(parent, '/');
	if (!into && slash)
		slash[slash == parent ? 1 : 0] = '\0';
	copy->has_sink = true;
	err = archive_unpack(&copy->sink, into || slash ? parent : ".", into ? "" : name);
	if (err == DVS_OK)
		return EXIT_DONE;
	copy->sink.err = err;
	return fail_here(copy, &copy->sink, &copy->to);
}

static int take_to_container(struct copy *copy)
{
	struct agent_stream_write_req *req = &copy->body.write;
	dvs_err err;

	req->stream = copy->to_stream;
	req->eof = copy->eof;
	req->n_data = (uint32_t)copy->len;
	memcpy(req->data, copy->piece, copy->len);
	err = agent_call_stream_write(copy->reach.agents, copy->to.node, req, NULL, PIECE_MS);
	if (err != DVS_OK || copy->eof)
		copy->to_stream = 0;
	return err == DVS_OK ? EXIT_DONE : fail_agent(copy, err, &copy->to);
}

static int take_to_fd(struct copy *copy, int fd)
{
	const uint8_t *at = copy->piece;
	size_t left = copy->len;

	while (left > 0) {
		ssize_t n = write(fd, at, left);

		if (n < 0 && errno == EINTR)
			continue;
		/* The thread at the other end tells why it has stopped. */
		copy->sink_stopped = n < 0 && errno == EPIPE && copy->has_sink;
		if (copy->sink_stopped)
			return EXIT_FAILED;
		if (n < 0)
			return cli_fail_errno(copy->cli, errno, "", "copy to %s", copy->to.word);
		at += n;
		left -= (size_t)n;
	}
	return EXIT_DONE;
}

static int take(struct copy *copy)
{
	if (copy->to.kind == PLACE_CONTAINER)
		return take_to_container(copy);
	return take_to_fd(copy, copy->to.kind == PLACE_STREAM ? STDOUT_FILENO : copy->sink.fd);
}

/* ---- all of it ---- */

static int open_both(struct copy *copy)
{
	bool into = copy->to.kind == PLACE_CONTAINER && is_directory_there(copy);
	/* What takes the place of a path is renamed there, so any name will do. */
	const char *name = place_name(&copy->from);
	int status = EXIT_DONE;

	if (copy->to.kind == PLACE_CONTAINER && !into && !name[0])
		name = place_name(&copy->to);
	if (copy->to.kind == PLACE_CONTAINER && !into && copy->from.kind == PLACE_CONTAINER &&
	    copy->from.contents)
		return cli_fail_errno(copy->cli, ENOENT, "make the directory first", "copy to %s",
				      copy->to.word);
	if (copy->from.kind == PLACE_CONTAINER)
		status = open_from_container(copy);
	else if (copy->from.kind == PLACE_HERE)
		status = open_from_here(copy, name);
	if (status != EXIT_DONE)
		return status;
	if (copy->to.kind == PLACE_CONTAINER)
		return open_to_container(copy, into || copy->from.kind == PLACE_STREAM);
	return copy->to.kind == PLACE_HERE ? open_to_here(copy) : EXIT_DONE;
}

static int pump(struct copy *copy)
{
	AUTO_FREE char *what = NULL;
	int status = EXIT_DONE;

	if (asprintf(&what, "copy %s", copy->from.word) < 0)
		return cli_fail(copy->cli, DVS_NOMEM, "copy");
	while (status == EXIT_DONE && !copy->eof) {
		status = give(copy);
		/* An archive that is not whole must not end like one that is. */
		if (status == EXIT_DONE && copy->eof && copy->has_source &&
		    archive_finish(&copy->source) != DVS_OK)
			return fail_here(copy, &copy->source, &copy->from);
		if (status == EXIT_DONE)
			status = take(copy);
		copy->done_bytes += copy->len;
		progress_bytes(&copy->progress, what, copy->done_bytes, copy->total_bytes);
	}
	return status;
}

/* What is still open after a failure is given up, so that nothing of it goes on over there. */
static void close_streams(struct copy *copy)
{
	const struct {
		uint64_t stream;
		dvs_nodeid node;
	} open[] = { { copy->from_stream, copy->from.node }, { copy->to_stream, copy->to.node } };

	for (size_t i = 0; i < ARRAY_LEN(open); i++) {
		struct agent_stream_close_req req = { .stream = open[i].stream };

		/* It ends with us anyway. */
		if (req.stream && agent_call_stream_close(copy->reach.agents, open[i].node, &req,
							  NULL, REACH_MS) != DVS_OK)
			continue;
	}
}

static int copy_files(struct copy *copy)
{
	int status = open_both(copy);

	progress_begin(&copy->progress, copy->cli->err);
	if (status == EXIT_DONE)
		status = pump(copy);
	progress_end(&copy->progress);
	close_streams(copy);
	if (copy->has_sink && archive_finish(&copy->sink) != DVS_OK &&
	    (status == EXIT_DONE || copy->sink_stopped))
		status = fail_here(copy, &copy->sink, &copy->to);
	if (copy->has_source && archive_finish(&copy->source) != DVS_OK && status == EXIT_DONE)
		status = fail_here(copy, &copy->source, &copy->from);
	return status;
}

static bool is_wrong_pair(struct cli *cli, const struct copy *copy)
{
	if (copy->from.kind == PLACE_CONTAINER || copy->to.kind == PLACE_CONTAINER)
		return false;
	cli_usage(cli,
		  "neither '%s' nor '%s' is in a container; write DC:/PATH or DC@NODE:/PATH for "
		  "one of them",
		  copy->from.word, copy->to.word);
	return true;
}

int cmd_cp(struct cli *cli)
{
	AUTO_FREE struct copy *copy = calloc(1, sizeof(*copy));
	int status;

	if (!copy)
		return cli_fail(cli, DVS_NOMEM, "copy");
	copy->cli = cli;
	if (!place_parse(cli, cli->words[0], &copy->from) ||
	    !place_parse(cli, cli->words[1], &copy->to) || is_wrong_pair(cli, copy))
		return EXIT_USAGE;
	/* Who reads from us and goes is seen by what cannot be written. */
	(void)signal(SIGPIPE, SIG_IGN);
	status = reach_open(cli, &copy->reach);
	if (status == EXIT_DONE)
		status = place_find(cli, &copy->reach, &copy->from);
	if (status == EXIT_DONE)
		status = place_find(cli, &copy->reach, &copy->to);
	if (status == EXIT_DONE)
		status = copy_files(copy);
	reach_close(&copy->reach);
	return status;
}
