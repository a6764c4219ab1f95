#!/bin/sh
# Boots a tree in a container, again after each reboot, until it is powered off. To be started in a mount and a pid namespace of its own, which take
# all mounts and processes away with them. The machine has to have overlayfs, cgroup 2 (beside cgroup 1 it does) and systemd-nspawn.
#
# boot.sh CGROUP LOWER UPPER WORK ROOT: LOWER, UPPER and WORK are overlayfs's, ROOT is where it is mounted
set -eu
cgroup=/sys/fs/cgroup/$1 lower=$2 upper=$3 work=$4 root=$5

mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work,metacopy=off,index=off" "$root"
# nspawn looks here whether the machine has cgroup 2; and it writes into /run.
[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
# The systemd inside gets a part of this cgroup for its own: no other process may be in it.
mkdir "$cgroup"
echo 0 >"$cgroup/cgroup.procs"

code=133
while [ "$code" = 133 ]; do # nspawn's word for "reboot"
    code=0
    systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network --link-journal=no --console=pipe \
        --hostname=tree </dev/null || code=$?
done
exit "$code"
