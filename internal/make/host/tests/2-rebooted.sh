# After an orderly power-off of the host; ends with a power cut.
. ./check
check "the host is up" systemctl is-system-running --wait
same "what asks for it was started, and what was running" $'auto,running\nother,running' "$(status | sort)"
check "boots" booted auto
same "the guest was shut down in order" bye "$(sysctl exec auto -- cat /root/bye)"
like "confined" '\(enforce\)$' "$(label "$(init_of auto)")"
same "a stop without a hurry" "" "$(journalctl -b -1 -u sysctl-autostart 2>/dev/null | grep -iE 'timed out|killing' )"

check "synced file" sysctl exec auto -- sh -c 'echo kept >/root/kept; sync'
check "boots" booted other
sysctl launch -q d12 half >/dev/null 2>&1 & # cut in the middle of what it does
sysctl exec auto -- sh -c 'cat /dev/zero >/root/big' &
within 60 sh -c 'sysctl list -q | grep -qx half'
echo "POWER CUT"
sleep 600
