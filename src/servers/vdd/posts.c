/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/posts.h"

#include "base/compiler.h"

static void run_all(struct post *post)
{
	struct posts *posts = CONTAINER_OF(post, struct posts, run);
	struct list *link;

	pthread_mutex_lock(&posts->lock);
	posts->is_put = false;
	while ((link = list_take_head(&posts->waiting))) {
		struct post *one = CONTAINER_OF(link, struct post, queued);

		pthread_mutex_unlock(&posts->lock);
		one->run(one);
		pthread_mutex_lock(&posts->lock);
	}
	pthread_mutex_unlock(&posts->lock);
}

static void put_locked(struct posts *posts)
{
	if (posts->is_put || !posts->is_open || list_is_empty(&posts->waiting))
		return;
	posts->is_put = true;
	poster_put(&posts->loop, &posts->run);
}

static void put(void *context, struct post *post)
{
	struct posts *posts = context;

	pthread_mutex_lock(&posts->lock);
	list_add_tail(&posts->waiting, &post->queued);
	put_locked(posts);
	pthread_mutex_unlock(&posts->lock);
}

void posts_init(struct posts *posts)
{
	(void)pthread_mutex_init(&posts->lock, NULL);
	list_init(&posts->waiting);
	posts->is_put = posts->is_open = false;
	posts->run.run = run_all;
}

struct poster posts_poster(struct posts *posts)
{
	return (struct poster){ .context = posts, .put = put };
}

void posts_connect(struct posts *posts, struct poster loop)
{
	pthread_mutex_lock(&posts->lock);
	posts->loop = loop;
	posts->is_open = true;
	put_locked(posts);
	pthread_mutex_unlock(&posts->lock);
}

void posts_disconnect(struct posts *posts)
{
	pthread_mutex_lock(&posts->lock);
	posts->is_open = posts->is_put = false;
	pthread_mutex_unlock(&posts->lock);
}
