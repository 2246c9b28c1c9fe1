# Programs that call the vsyscall page, which this kernel does not give them: they die, and with the measure they do not.
. ./check
cp -a --remove-destination root/. /
systemctl daemon-reload
check "the host is up" systemctl is-system-running --wait
for kind in static dynamic; do
    same "$kind: the host's kernel kills it" 139 "$(./vsyscall.$kind >/dev/null 2>&1; echo $?)"
done
on_disk() { ls /var/lib/sysctl/layers /var/lib/sysctl/instances 2>/dev/null | grep -v :; }
before=$(on_disk)
mkdir -p t/usr/local/bin
cp vsyscall.static vsyscall.dynamic t/usr/local/bin
tar -C t --numeric-owner --owner=0 --group=0 -rf guest.tar ./usr/local/bin/vsyscall.static ./usr/local/bin/vsyscall.dynamic
check "import" sysctl image import guest.tar --alias old -q
check "launch" sysctl launch -q old off
check "launch with the measure" sysctl launch -q old on -c compat.vsyscall=on
like "the host has none" '"Vsyscall":"none"' "$(cat /run/sysctl/host)"
like "listed" 'changed copies: +2 files of the image' "$(sysctl info on)"
for kind in static dynamic; do
    same "$kind: dies without" 139 "$(sysctl exec off -- vsyscall.$kind >/dev/null 2>&1; echo $?)"
    like "$kind: tells the time with" '^time 1[0-9]{9}$' "$(sysctl exec on -- vsyscall.$kind)"
done
check "boots" booted on
same "no failed unit" "" "$(sysctl exec on -- systemctl --failed --no-legend)"
sysctl exec on -- systemctl reboot
check "reboot from inside" within 120 sh -c 'sysctl exec on -- vsyscall.static'

# A copy that the guest makes while it runs is changed at the next start.
cat vsyscall.dynamic | sysctl exec on -- sh -c 'cat >/root/copy && chmod 755 /root/copy'
same "what the guest writes dies" 139 "$(sysctl exec on -- /root/copy >/dev/null 2>&1; echo $?)"
check "restart" timeout 120 sysctl restart on
like "until it is started again" '^time 1[0-9]{9}$' "$(sysctl exec on -- /root/copy)"
like "listed too" '2 files of the image, 1 of its own' "$(sysctl info on)"
check "off" sysctl config set on compat.vsyscall=off
check "restart without" timeout 120 sysctl restart on
for program in vsyscall.static /root/copy; do
    same "$program: as it was" 139 "$(sysctl exec on -- $program >/dev/null 2>&1; echo $?)"
done
check "delete" sysctl delete --force on off
check "delete the image" sysctl image delete old
same "no layer is left" "$before" "$(on_disk)"
echo END
