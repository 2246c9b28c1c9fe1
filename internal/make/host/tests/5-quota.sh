# The size of a root disk, on ext4 and xfs with project quotas: full in the guest, and the host goes on.
. ./check
cp -a --remove-destination root/. /
modprobe loop
# A guest of a few megabytes, of programs that are here.
tree=/var/tmp/tree
mkdir -p $tree/{sbin,bin,etc/network,proc,sys,dev,tmp,root,run,var}
for p in sh cat sleep dd df stat mv ln rm mkdir; do
    path=$(readlink -f "$(command -v $p)")
    cp "$path" $tree/bin/$p
    for lib in $(ldd "$path" | grep -o '/[^ ]*'); do
        mkdir -p "$tree${lib%/*}"
        cp -L "$lib" "$tree$lib"
    done
done
echo ID=debian >$tree/etc/os-release
printf 'auto lo\niface lo inet loopback\n' >$tree/etc/network/interfaces
echo root:x:0:0::/root:/bin/sh >$tree/etc/passwd
printf '#!/bin/sh\ntrap "exit 0" TERM INT PWR USR1 USR2 RTMIN+3\nwhile :; do sleep 1000 & wait $!; done\n' >$tree/sbin/finit
chmod 755 $tree/sbin/finit
ln -s finit $tree/sbin/init

guest() { sysctl exec "$1" -- sh -c "$2" 2>&1; }
fill() { guest "$1" "dd if=/dev/zero of=/$2 bs=64k count=$(($3 * 16))"; } # fill NAME FILE MIB
mib() { echo $(($(guest "$1" "stat -c %b /$2") / 2048)); }
full='No space left|quota exceeded'

check "this disk has no quotas: import" sysctl image import $tree --alias tiny -q
like "this disk has no quotas: refused" 'devices.root.size: .*project quotas: .*ext4.*tune2fs' "$(sysctl create tiny a -c devices.root.type=disk -c devices.root.path=/ -c devices.root.size=8MiB 2>&1 | tr '\n' ' ')"
same "nothing is left of it" "" "$(sysctl list -q)"

for fs in ext4 xfs; do
    mkdir -p /mnt/$fs
    check "$fs: mounted" mount -o loop,prjquota quota.$fs /mnt/$fs
    export SYSCTL_DIR=/mnt/$fs/sysctl SYSCTL_RUN_DIR=/run/sysctl-$fs
    like "$fs: check" 'root disk size +ok +by project quotas' "$(sysctl check)"
    check "$fs: import" sysctl image import $tree --alias tiny -q
    check "$fs: a guest with 8 MiB" sysctl launch -q tiny a -c devices.root.type=disk -c devices.root.path=/ -c devices.root.size=8MiB
    check "$fs: and one without" sysctl launch -q tiny b
    like "$fs: full in the guest" "$full" "$(fill a big 20)"
    like "$fs: with as much as it may have" '^[678]$' "$(mib a big)"
    like "$fs: which df says" ' 8192 ' "$(guest a 'df -k /')"
    like "$fs: not the other one" 'copied' "$(fill b big 20)"
    check "$fs: nor the host" dd if=/dev/zero of=/mnt/$fs/host bs=1M count=20
    check "$fs: the full guest is looked at" sysctl exec a -- cat /etc/hostname
    same "$fs: more at once" "" "$(sysctl config device set a root size=16MiB 2>&1)"
    like "$fs: full again" "$full" "$(fill a big 30)"
    like "$fs: with as much as it may have by now" '^1[456]$' "$(mib a big)"
    guest a 'rm /big' >/dev/null
    like "$fs: room again" copied "$(fill a big 10)"

    # A snapshot is not counted, nor what was before it.
    check "$fs: stopped" sysctl stop -q --force a
    check "$fs: a snapshot" sysctl snapshot -q a before
    check "$fs: started" sysctl start -q a
    like "$fs: room for more" copied "$(fill a more 12)"
    like "$fs: and no more than that" "$full" "$(fill a most 12)"
    check "$fs: stopped" sysctl stop -q --force a
    check "$fs: restored" sysctl restore -q a before
    check "$fs: started" sysctl start -q a
    like "$fs: room after that" copied "$(fill a more 12)"
    like "$fs: within limits" "$full" "$(fill a most 12)"
    check "$fs: a copy has the size" sysctl copy -q a c --start
    like "$fs: which it keeps to" "$full" "$(fill c most 20)"
    same "$fs: no limit at once" "" "$(sysctl config device unset a root size 2>&1)"
    like "$fs: without it" copied "$(fill a most 30)"

    # One that has written before: all of it counts, and can be renamed.
    guest b 'rm /etc/passwd; mkdir -p /d/e; echo x >/d/e/f; ln -s e/f /d/l; ln /d/e/f /d/h' >/dev/null
    like "$fs: waits for the start" 'at its next start: devices.root' "$(sysctl config device add b root disk path=/ size=24MiB 2>&1)"
    check "$fs: stopped" sysctl stop -q --force b
    check "$fs: started with a size" sysctl start -q b
    like "$fs: what it had counts" "$full" "$(fill b more 8)"
    guest b 'rm /more'
    same "$fs: it renames what it had" "x" "$(guest b 'mkdir /etc/passwd && cd /d && mv l k && mv h i && mv e g && mv g /o && cat /o/f')"
    check "$fs: all gone" sysctl delete -q --force a b c
    check "$fs: the environment too" sysctl environment remove --force
    check "$fs: unmounted" within 20 umount /mnt/$fs
done
echo END
