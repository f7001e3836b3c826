/* SPDX-License-Identifier: Apache-2.0 */
#include "container/ending.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

#define N_CHILDREN 3u

/* Children that wait for a signal; a deaf one does not hear SIGTERM. */
static void start_children(pid_t children[N_CHILDREN], bool deaf)
{
	for (unsigned i = 0; i < N_CHILDREN; i++) {
		int ready[2];
		char byte;

		ck_assert_int_eq(pipe(ready), 0);
		children[i] = fork();
		ck_assert_int_ge(children[i], 0);
		if (children[i] == 0) {
			(void)signal(SIGTERM, deaf && i == 1 ? SIG_IGN : SIG_DFL);
			(void)!write(ready[1], "", 1);
			for (;;)
				(void)pause();
		}
		ck_assert_int_eq(read(ready[0], &byte, 1), 1);
		(void)close(ready[0]);
		(void)close(ready[1]);
	}
}

/* The first two. */
static bool is_wanted(const void *arg, pid_t pid)
{
	const pid_t *children = arg;

	return pid == children[0] || pid == children[1];
}

static int end_of(pid_t child)
{
	int status = 0;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	return WTERMSIG(status);
}

TEST(only_those_that_are_wanted_end)
{
	pid_t children[N_CHILDREN];

	start_children(children, false);
	ck_assert_uint_eq(processes_end(is_wanted, children, SIGTERM,
					clock_deadline_ns(60 * CLOCK_NS_PER_S)),
			  0);
	ck_assert_int_eq(end_of(children[0]), SIGTERM);
	ck_assert_int_eq(end_of(children[1]), SIGTERM);
	ck_assert_int_eq(waitpid(children[2], NULL, WNOHANG), 0);
	(void)kill(children[2], SIGKILL);
	ck_assert_int_eq(end_of(children[2]), SIGKILL);
}

TEST(who_does_not_end_is_counted_and_can_be_killed)
{
	pid_t children[N_CHILDREN];

	start_children(children, true);
	/* The other one may take longer, too. */
	ck_assert_uint_ge(processes_end(is_wanted, children, SIGTERM,
					clock_deadline_ns(CLOCK_NS_PER_S / 10)),
			  1);
	ck_assert_uint_eq(processes_end(is_wanted, children, SIGKILL,
					clock_deadline_ns(60 * CLOCK_NS_PER_S)),
			  0);
	ck_assert_int_eq(end_of(children[1]), SIGKILL);
	(void)kill(children[2], SIGKILL);
	(void)waitpid(children[0], NULL, 0);
	(void)waitpid(children[2], NULL, 0);
}

TEST(a_node_that_never_had_containers_has_none_to_stop)
{
	char dir[] = "/tmp/dvs-ending.XXXXXX";
	char why[512] = "";

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(container_host_stop(dir, 0, why) == DVS_OK, 1);
	ck_assert_int_eq(rmdir(dir), 0);
}

UNIT_MAIN("container-ending", only_those_that_are_wanted_end,
	  who_does_not_end_is_counted_and_can_be_killed,
	  a_node_that_never_had_containers_has_none_to_stop)
