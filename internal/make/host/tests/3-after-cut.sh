# After a power cut with one instance that writes and another being made.
. ./check
check "the host is up" systemctl is-system-running --wait
check "boots" booted auto
same "synced file" kept "$(sysctl exec auto -- cat /root/kept)"
like "the other runs, as it did" 'other,running' "$(status)"
echo "     half-made: $(status | grep half)"
check "boots" booted other
check "the name of what was half-made is free, or the instance is there" sh -c 'sysctl info half >/dev/null 2>&1 || sysctl launch -q d12 half'
check "boots" booted half
like "no trouble" '^$' "$(sysctl list --format csv | grep -i broken)"
check "delete all" sysctl delete --force auto other half
check "nothing left" clean 30
same "no instance directory" "" "$(ls /var/lib/sysctl/instances 2>/dev/null)"
echo END
