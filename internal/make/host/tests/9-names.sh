# Names of a network on the host (dns.host), through a real systemd-resolved, whose own way to names is as it was.
. ./check
cp -a --remove-destination root/. /
systemctl daemon-reload
check "the host is up" systemctl is-system-running --wait
check "import" sysctl image import small.tar --alias small -q
not() { ! "$@"; }

# What the host itself asks: a server on a link of its own, which notes what it is asked.
ip link add own type dummy
ip addr add 10.66.0.1/24 dev own
ip link set own up
mv /usr/sbin/dnsmasq.off /usr/sbin/dnsmasq
check "the host's server" dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces --listen-address=10.66.0.1 \
    --host-record=own.example,10.66.0.7 --log-queries --log-facility=/hosttest/own.log --pid-file=/run/own.pid
mkdir -p /etc/systemd/resolved.conf.d
printf '[Resolve]\nDNS=10.66.0.1\nFallbackDNS=\nDNSSEC=no\n' >/etc/systemd/resolved.conf.d/own.conf

ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf # whose directory is not there before systemd-resolved runs

finds() { getent ahosts "$1"; }
address() { sysctl list "$1" --format csv | tail -n 1 | cut -d, -f"$2"; }
own() { same "the host finds its own names" 10.66.0.7 "$(getent ahostsv4 own.example | awk 'NR == 1 { print $1 }')"; }
found() { # found INSTANCE NAME
    same "$2: IPv4" "$(address "$1" 3)" "$(getent ahostsv4 "$2" | awk 'NR == 1 { print $1 }')"
    same "$2: IPv6" "$(address "$1" 4)" "$(getent ahostsv6 "$2" | awk 'NR == 1 { print $1 }')"
}
lost() { check "$1 is not found" not finds "$1"; }

same "nobody goes without names" "" "$(sysctl launch small web1 2>&1 | grep 'no names')"
check "it runs" [ -n "$(address web1 3)" ]
was=$(sysctl network show sysbr0)
said=$(sysctl network set sysbr0 dns.host=true 2>&1)
like "no systemd-resolved: refused" 'dns.host: resolvectl' "$said"
same "nothing is changed" "$was" "$(sysctl network show sysbr0)"
check "systemd-resolved" systemctl start systemd-resolved
own
lost web1.sysctl
check "dns.host" sysctl network set sysbr0 dns.host=true
found web1 web1.sysctl
lost other.sysctl
own
check "another instance" sysctl launch -q small web2
found web2 web2.sysctl
check "delete it" sysctl delete --force web2
lost web2.sysctl
check "rename" sysctl stop -q --force web1
check "rename" sysctl rename -q web1 www
check "start" sysctl start -q www
found www www.sysctl
lost web1.sysctl
check "the host's server is not asked for it again" sh -c ': >own.log; getent ahosts www.sysctl; getent ahosts own.example; grep -q own.example own.log && ! grep -q www own.log'
check "systemd-resolved restarts" systemctl restart systemd-resolved
found www www.sysctl
own

check "another domain" sysctl network set sysbr0 dns.domain=lab.test
found www www.lab.test
lost www.sysctl
check "and back" sysctl network unset sysbr0 dns.domain
found www www.sysctl
lost www.lab.test
check "no longer" sysctl network set sysbr0 dns.host=false
lost www.sysctl
own
check "again" sysctl network set sysbr0 dns.host=true
found www www.sysctl
# dnsmasq is started while systemd-resolved does not run: it hears of it with the next start of an instance.
systemctl stop systemd-resolved
rm -f /run/systemd/resolve/netif/*
check "stop" sysctl stop -q --force www
kill $(cat /run/sysctl-dns/*/sysbr0/pid)
like "told so" 'dns.host: resolvectl' "$(sysctl start www 2>&1)"
check "it runs" sysctl exec www -- true
systemctl start systemd-resolved
lost www.sysctl
check "launch" sysctl launch -q small more
found www www.sysctl
found more more.sysctl
own
check "delete" sysctl delete --force www more
lost www.sysctl
check "all is removed" sysctl environment remove --force
own
same "the links of systemd-resolved have nothing of it" "" "$(resolvectl domain | grep -F '~')"

systemctl stop systemd-resolved
kill "$(cat /run/own.pid)"
mv /usr/sbin/dnsmasq /usr/sbin/dnsmasq.off
check "nothing left" clean 30
echo END
