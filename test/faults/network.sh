#!/bin/sh
# Two networks of one host each, with a router between them: to be run in a network namespace of its own, which is the
# router. Prints a process in the server's namespace and one in the client's. `cut` on the standard input makes the
# router drop all packets, so that neither side gets a FIN, a RST, or word from its own network; `mend` ends that.
set -eu

host () {
  unshare --net setpriv --pdeathsig KILL sleep infinity &
  pid=$!
  # Until then it is still in our namespace.
  while [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do :; done
  ip link add "veth$1" type veth peer name eth0 netns "$pid"
  ip address add "10.9.$1.1/24" dev "veth$1"
  ip link set "veth$1" up
  nsenter --target "$pid" --net sh -c "
    ip link set lo up
    ip address add 10.9.$1.2/24 dev eth0
    ip link set eth0 up
    ip route add default via 10.9.$1.1"
}

host 1
server=$pid
host 2
echo 1 > /proc/sys/net/ipv4/ip_forward
echo "[$server, $pid]"
while read -r command; do
  case $command in
    cut) echo 0 > /proc/sys/net/ipv4/ip_forward ;;
    mend) echo 1 > /proc/sys/net/ipv4/ip_forward ;;
  esac
  echo null
done
