#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first process of a small Debian machine: the TREE becomes its root, and it reaps what others leave. It is run
# in mount and process namespaces of its own, so nothing of it outlives it.
#
# usage: unshare --mount --pid --fork --kill-child tree.sh TREE
set -eu

tree=$1
mount --make-rprivate /
mount --bind "$tree" "$tree"
cd "$tree"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
pivot_root . .
umount -l .
sleep infinity &
echo ready >/run/ready
wait
