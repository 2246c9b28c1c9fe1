# After a power cut with one instance that writes and another being made.
. ./check
check "the host is up" systemctl is-system-running --wait
check "boots" booted auto
same "synced file" kept "$(sysctl exec auto -- cat /root/kept)"
like "the other is stopped" 'other,stopped' "$(status)"
echo "     half-made: $(status | grep half)"
check "it is startable" sysctl start other
check "boots" booted other
check "the name of what was half-made is free or the instance works" sh -c 'sysctl info half >/dev/null 2>&1 && sysctl start half || sysctl launch -q d12 half'
check "boots" booted half
like "no trouble" '^$' "$(sysctl list --format csv | grep -i broken)"
check "delete all" sysctl delete --force auto other half
check "nothing left" clean 30
same "no instance directory" "" "$(ls /var/lib/sysctl/instances 2>/dev/null)"
echo END
