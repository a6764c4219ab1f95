#!/bin/sh
# Runs a command inside a tree. To be started in a mount and a pid namespace of its own, which take all mounts away with them.
#
# enter.sh LOWER UPPER WORK ROOT COMMAND…: LOWER, UPPER and WORK are overlayfs's, ROOT is where it is mounted; the variable IMAGE may hold overlayfs's
# words for a second tree, which is then at /srv/image in the first
set -eu
lower=$1 upper=$2 work=$3 root=$4
shift 4

mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work,metacopy=off,index=off" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
if [ -n "${IMAGE-}" ]; then # a tree for the one in the tree
    mkdir -p "$root/srv/image"
    mount -t overlay overlay -o "$IMAGE,metacopy=off,index=off" "$root/srv/image"
fi
exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
