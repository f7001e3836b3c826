/* SPDX-License-Identifier: Apache-2.0 */
/* The images of this node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/errand.h"
#include "agent/server.h"
#include "container/image.h"

/* ---- which containers are made from an image ---- */

struct users {
	char (*digests)[IMAGE_DIGEST_MAX + 1];
	size_t n;
};

static dvs_err users_find(const struct agent *agent, struct users *users)
{
	char **names;
	size_t n;
	dvs_err err = container_list(&agent->host, &names, &n);

	*users = (struct users){ .n = 0 };
	if (err)
		return err;
	users->digests = calloc(n ? n : 1, sizeof(*users->digests));
	for (size_t i = 0; i < n; i++) {
		struct container_state state;

		if (users->digests && container_look(&agent->host, names[i], &state) == DVS_OK &&
		    state.digest[0])
			(void)snprintf(users->digests[users->n++], IMAGE_DIGEST_MAX + 1, "%s",
				       state.digest);
		free(names[i]);
	}
	free(names);
	return users->digests ? DVS_OK : DVS_NOMEM;
}

static uint32_t users_count(const struct users *users, const char *digest)
{
	uint32_t n = 0;

	for (size_t i = 0; i < users->n; i++)
		n += strcmp(users->digests[i], digest) == 0;
	return n;
}

static bool is_used(void *context, const char *digest)
{
	return users_count(context, digest) > 0;
}

/* ---- images ---- */

struct images {
	struct agent_images_req req;
	struct agent_images_rep rep;
};

static void images_run(struct errand *errand)
{
	struct images *images = errand->own;
	struct agent_images_rep *rep = &images->rep;
	char after[IMAGE_NAME_MAX + 1];
	struct image image;
	struct users users;

	errand->err = users_find(errand->agent, &users);
	memcpy(after, images->req.after, sizeof(after));
	while (!errand->err && rep->n_images < ARRAY_LEN(rep->images) &&
	       image_next(errand->agent->options.lib_dir, after, &image) == DVS_OK) {
		struct agent_image *one = &rep->images[rep->n_images++];

		*one = (struct agent_image){ .bytes = image.bytes,
					     .files = image.files,
					     .imported_ns = image.imported_ns,
					     .used_by = users_count(&users, image.digest) };
		memcpy(one->name, image.name, sizeof(one->name));
		memcpy(one->digest, image.digest, sizeof(one->digest));
		memcpy(after, image.name, sizeof(after));
	}
	free(users.digests);
}

static void images_answer(struct errand *errand)
{
	struct images *images = errand->own;

	REQUEST_ANSWER(errand->request, images, &images->rep);
}

void op_images(struct agent *agent, struct request *request)
{
	struct agent_images_req req;
	struct images *images;
	struct errand *errand;

	(void)agent;
	if (!REQUEST_DECODE(request, images, &req))
		return;
	errand = errand_create(request, sizeof(*images));
	if (!errand)
		return;
	images = errand->own;
	images->req = req;
	errand_start(errand, images_run, images_answer);
}

/* ---- image_remove ---- */

static void remove_run(struct errand *errand)
{
	struct agent_image_remove_req *req = errand->own;
	struct users users;

	errand->err = users_find(errand->agent, &users);
	if (!errand->err)
		errand->err =
			image_remove(errand->agent->options.lib_dir, req->name, is_used, &users);
	if (errand->err == DVS_INUSE)
		(void)snprintf(errand->why, sizeof(errand->why),
			       "a container of this node is made from the image %s: remove its DC"
			       " first (see 'dvs dc ls')",
			       req->name);
	else if (errand->err == DVS_NOTFOUND)
		(void)snprintf(errand->why, sizeof(errand->why), "the image %s is not on this node",
			       req->name);
	free(users.digests);
}

static void remove_answer(struct errand *errand)
{
	request_done(errand->request);
}

void op_image_remove(struct agent *agent, struct request *request)
{
	struct agent_image_remove_req req;
	struct errand *errand;

	(void)agent;
	if (!REQUEST_DECODE(request, image_remove, &req))
		return;
	errand = errand_create(request, sizeof(req));
	if (!errand)
		return;
	memcpy(errand->own, &req, sizeof(req));
	errand_start(errand, remove_run, remove_answer);
}

/* ---- image_says ---- */

struct says_asked {
	struct agent_image_says_req req;
	struct agent_image_says_rep rep;
};

static void says_run(struct errand *errand)
{
	struct says_asked *asked = errand->own;
	const char *lib_dir = errand->agent->options.lib_dir;
	json_t *config = NULL;
	struct image image;
	size_t len;

	errand->err = image_find(lib_dir, asked->req.name, &image);
	if (!errand->err)
		errand->err = image_config(lib_dir, image.digest, &config);
	if (errand->err) {
		(void)snprintf(errand->why, sizeof(errand->why), "the image %s is not on this node",
			       asked->req.name);
		return;
	}
	len = json_dumpb(config, (char *)asked->rep.says, sizeof(asked->rep.says), JSON_COMPACT);
	json_decref(config);
	asked->rep.n_says = (uint32_t)len;
	if (len <= sizeof(asked->rep.says))
		return;
	errand->err = DVS_TOOBIG;
	(void)snprintf(errand->why, sizeof(errand->why),
		       "the image %s says more than %zu bytes about its programs", asked->req.name,
		       sizeof(asked->rep.says));
}

static void says_answer(struct errand *errand)
{
	struct says_asked *asked = errand->own;

	REQUEST_ANSWER(errand->request, image_says, &asked->rep);
}

void op_image_says(struct agent *agent, struct request *request)
{
	struct agent_image_says_req req;
	struct says_asked *asked;
	struct errand *errand;

	(void)agent;
	if (!REQUEST_DECODE(request, image_says, &req))
		return;
	errand = errand_create(request, sizeof(*asked));
	if (!errand)
		return;
	asked = errand->own;
	asked->req = req;
	errand_start(errand, says_run, says_answer);
}
