/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include "unit.h"

struct item {
	int n;
	struct list link;
};

static int sum_in_order(struct list *list)
{
	int sum = 0;

	LIST_FOREACH(link, list) {
		sum = 10 * sum + CONTAINER_OF(link, struct item, link)->n;
	}
	return sum;
}

TEST(links_come_in_the_order_they_were_added)
{
	struct list list;
	struct item items[3] = { { .n = 1 }, { .n = 2 }, { .n = 3 } };

	list_init(&list);
	ck_assert(list_is_empty(&list));
	list_add_tail(&list, &items[1].link);
	list_add_tail(&list, &items[2].link);
	list_add_head(&list, &items[0].link);
	ck_assert_int_eq(sum_in_order(&list), 123);
}

TEST(a_link_taken_out_is_in_no_list)
{
	struct list list;
	struct item items[2] = { { .n = 1 }, { .n = 2 } };

	list_init(&list);
	list_add_tail(&list, &items[0].link);
	list_add_tail(&list, &items[1].link);
	list_remove(&items[0].link);
	ck_assert(list_is_empty(&items[0].link));
	list_remove(&items[0].link);
	ck_assert_int_eq(sum_in_order(&list), 2);
}

TEST(the_safe_walk_lets_the_body_take_out)
{
	struct list list;
	struct item items[3] = { { .n = 1 }, { .n = 2 }, { .n = 3 } };
	int seen = 0;

	list_init(&list);
	for (int i = 0; i < 3; i++)
		list_add_tail(&list, &items[i].link);
	LIST_FOREACH_SAFE(link, &list) {
		list_remove(link);
		seen++;
	}
	ck_assert_int_eq(seen, 3);
	ck_assert(list_is_empty(&list));
}

TEST(the_head_is_the_oldest)
{
	struct list list;
	struct item items[2] = { { .n = 1 }, { .n = 2 } };

	list_init(&list);
	list_add_tail(&list, &items[0].link);
	list_add_tail(&list, &items[1].link);
	ck_assert_ptr_eq(list_take_head(&list), &items[0].link);
	ck_assert_ptr_eq(list_take_head(&list), &items[1].link);
	ck_assert_ptr_null(list_take_head(&list));
}

struct two {
	struct list from;
	struct list to;
};

/* Not inlined: the compiler is to know nothing of what is in the lists. */
__attribute__((noinline)) static void move_there_and_back(struct two *two)
{
	unsigned int n = 0;

	while (!list_is_empty(&two->from)) {
		struct item *item = CONTAINER_OF(two->from.next, struct item, link);

		list_remove(&item->link);
		list_add_tail(&two->to, &item->link);
		n++;
	}
	for (; n > 0; n--) {
		struct list *last = two->to.prev;

		list_remove(last);
		list_add_head(&two->from, last);
	}
}

TEST(links_move_to_another_list_and_back)
{
	struct two two;
	struct item items[3] = { { .n = 1 }, { .n = 2 }, { .n = 3 } };

	list_init(&two.from);
	list_init(&two.to);
	for (int i = 0; i < 3; i++)
		list_add_tail(&two.from, &items[i].link);
	move_there_and_back(&two);
	ck_assert(list_is_empty(&two.to));
	ck_assert_int_eq(sum_in_order(&two.from), 123);
}

UNIT_MAIN("base-list", links_come_in_the_order_they_were_added, a_link_taken_out_is_in_no_list,
	  the_safe_walk_lets_the_body_take_out, the_head_is_the_oldest,
	  links_move_to_another_list_and_back)
