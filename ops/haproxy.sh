#!/bin/sh
# Writes a configuration for HAProxy (2.4 and later) that sends Adama's traffic for a
# partition to the host that owns it. Change what stands here, and run
#
#   sh haproxy.sh > haproxy.cfg && haproxy -c -f haproxy.cfg
#
# ops/haproxy.cfg is what it writes as it is.
set -eu

hosts='h1=10.0.0.1 h2=10.0.0.2 h3=10.0.0.3' # as in the layout
partitions=64                               # likewise, numbered from 0
adama=8080                                  # the port of the Adama nodes
http=7422                                   # the port of the hosts' HTTP

cat <<END
# HAProxy for Adama on Trireme, written by haproxy.sh.
#
# Any host may be asked for any document: it passes the request on to the owner of the
# document's partition. It is quicker to go there at once. A client learns the partition
# of a document from /route?space=S&key=K, which never changes, and sends it along: as
# the header Trireme-Partition, or in the address as ?partition=07 where it cannot set
# headers, like a browser's WebSocket. What names no partition goes to any ready host.
#
# The owner of partition PP answers /owner/PP with 200, all others with 503. So each
# partition has a backend in which at most one server is up. While nobody owns the
# partition, as during an election, its backups take over: any ready host, which holds
# the request until there is an owner.

global
  log stdout format raw local0 info

defaults
  mode http
  log global
  option httplog
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 1s
  # Ownership moves within a fraction of a second. Connections to a host that does not
  # own the partition any more are ended, so that clients come to its owner.
  default-server inter 1s fastinter 300ms downinter 500ms rise 1 fall 1 on-marked-down shutdown-sessions

frontend adama
  bind :8000
  http-request set-var(txn.partition) req.hdr(Trireme-Partition)
  http-request set-var(txn.partition) urlp(partition) unless { var(txn.partition) -m found }
  use_backend routes if { path /route }
  use_backend p%[var(txn.partition)] if { var(txn.partition) -m reg ^[0-9]{2,3}$ }
  default_backend ready

# Where a document belongs: any ready host knows.
backend routes
  option httpchk
  http-check send meth GET uri /readyz
END
for h in $hosts; do
	echo "  server ${h%%=*} ${h#*=}:$http check"
done
cat <<END

# Adama nodes beside a host that is ready.
backend ready
  option httpchk
  http-check send meth GET uri /readyz
END
for h in $hosts; do
	echo "  server ${h%%=*} ${h#*=}:$adama check port $http"
done
echo
echo '# The partitions.'
p=0
while [ "$p" -lt "$partitions" ]; do
	pp=$(printf %02d "$p")
	echo "backend p$pp"
	echo '  option httpchk'
	echo "  http-check send meth GET uri /owner/$pp"
	for h in $hosts; do
		echo "  server ${h%%=*} ${h#*=}:$adama check port $http"
	done
	for h in $hosts; do
		echo "  server ${h%%=*}-ready ${h#*=}:$adama backup track ready/${h%%=*}"
	done
	p=$((p + 1))
done
