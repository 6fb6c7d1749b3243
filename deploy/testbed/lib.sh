# shellcheck shell=bash disable=SC2034 # What is set here is used by those who source it.
# Shared by the test bed's commands; sourced, not run.
#
# What `up` was told stays in $dir/settings, so that the other commands need only TESTBED_DIR, and not even that at its default.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${TESTBED_DIR:-${TMPDIR:-/tmp}/orderflow-testbed}

# The user of the SASL listeners, and the password of the key store. They protect nothing: every listener is on loopback.
sasl_user=alice
sasl_password=alice-secret
store_password=testbed

kafka_nodes=${KAFKA_NODES:-1}
kafka_port=${KAFKA_PORT:-19092}
kafka_heap=${KAFKA_HEAP:-768m}
mongo_port=${MONGO_PORT:-27117}
mongo_heap=${MONGO_HEAP:-512m}

say() { echo "testbed: $*" >&2; }
die() { say "$@"; exit 1; }

save_settings() {
  mkdir -p "$dir"
  printf '%s=%s\n' kafka_nodes "$kafka_nodes" kafka_port "$kafka_port" kafka_heap "$kafka_heap" mongo_port "$mongo_port" \
    >"$dir/settings"
}

load_settings() {
  local name value
  [ -e "$dir/settings" ] || return 1
  while IFS='=' read -r name value; do printf -v "$name" '%s' "$value"; done <"$dir/settings"
}

client_port() { echo $((kafka_port + 100 * ($1 - 1))); }         # 19092, 19192, 19292
controller_port() { echo $((kafka_port + 100 * ($1 - 1) + 1)); } # 19093, 19193, 19293
sasl_port() { echo $((kafka_port + 100 * ($1 - 1) + 2)); }       # 19094, 19194, 19294
ssl_port() { echo $((kafka_port + 100 * ($1 - 1) + 3)); }        # 19095, 19195, 19295
sasl_ssl_port() { echo $((kafka_port + 100 * ($1 - 1) + 4)); }   # 19096, 19196, 19296
proxied_port() { echo $((kafka_port + 100 * ($1 - 1) + 5)); }    # 19097, 19197, 19297
proxy_port() { echo $((kafka_port + 100 * ($1 - 1) + 6)); }      # 19098, 19198, 19298: left to a test's proxy
node_home() { echo "$dir/kafka-$1"; }
every_node() { seq 1 "$kafka_nodes"; }

need_node() { # need_node N: N must be a node of the running test bed
  load_settings || die "nothing was started under $dir; start it with deploy/testbed/up"
  if ! [[ ${1:-} =~ ^[1-9]$ ]] || [ "$1" -gt "$kafka_nodes" ]; then die "the node must be a number from 1 to $kafka_nodes"; fi
}

# A pid file may outlive its process and the number may be another's by now: the command line must name our folder.
alive() { # alive PIDFILE
  local pid
  [ -s "$1" ] && pid=$(cat "$1") && ps -o args= -p "$pid" 2>/dev/null | grep -qF -- "$dir/"
}

await_end() { # await_end PIDFILE: until the process is gone, at most 20 s
  local _
  for _ in $(seq 1 200); do alive "$1" || return 0; sleep 0.1; done
  die "process $(cat "$1") does not end"
}

tail_log() { [ -e "$1" ] && tail -n 20 "$1" >&2; return 0; }

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Asks the node for the cluster's metadata (API 3, version 1, all topics) and prints how many brokers it knows; an open port says less,
# since a node opens it before it can answer. The reply is: size, correlation id, number of brokers, four bytes each.
brokers_known() { # brokers_known PORT
  # shellcheck disable=SC2016
  timeout 3 bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf "\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff\xff\xff\xff\xff" >&3
    head -c 12 <&3 | od -An -v -t u1 -j 8 -N 4' - "$1" 2>/dev/null | awk 'NF == 4 { print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }'
}

await_kafka() { # await_kafka N
  local _ port home
  port=$(client_port "$1") home=$(node_home "$1")
  for _ in $(seq 1 240); do
    [ "$(brokers_known "$port")" = "$kafka_nodes" ] && return 0
    alive "$home/pid" || { tail_log "$home/kafka.log"; die "Kafka node $1 has ended; see $home/kafka.log"; }
    sleep 0.25
  done
  tail_log "$home/kafka.log"
  die "Kafka node $1 does not know all $kafka_nodes brokers after a minute; see $home/kafka.log"
}

await_mongo() {
  local _
  for _ in $(seq 1 240); do
    port_open "$mongo_port" && return 0
    alive "$dir/mongo.pid" || { tail_log "$dir/mongo.log"; die "Mongo has ended; see $dir/mongo.log"; }
    sleep 0.25
  done
  tail_log "$dir/mongo.log"
  die "Mongo did not open port $mongo_port; see $dir/mongo.log"
}

need_program() { # need_program NAME PACKAGES
  command -v "$1" >/dev/null 2>&1 || die "$1 is missing; on Debian or Ubuntu: apt-get install $2"
}

jars() { # jars NAME: copies the jars that NAME/pom.xml names to $dir/NAME-lib, once
  local lib=$dir/$1-lib
  # The copy of the pom that the jars were fetched for is the mark that they are all there, and of which versions.
  cmp -s "$here/$1/pom.xml" "$lib/pom.xml" && return 0
  need_program mvn maven
  say "fetching the jars of $1"
  rm -rf "$lib"
  mkdir -p "$lib"
  mvn -q -B -f "$here/$1/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" >"$dir/$1-mvn.log" 2>&1 </dev/null ||
    { tail_log "$dir/$1-mvn.log"; die "Maven could not fetch the jars of $1"; }
  cp "$here/$1/pom.xml" "$lib/pom.xml"
}

kafka_java() { # kafka_java CLASS ARGUMENTS…: runs a class of Kafka's in the foreground
  java -cp "$dir/kafka-lib/*" -Dlog4j2.configurationFile="$here/kafka/log4j2.yaml" "$@"
}

# Starts a command that outlives this script and a Ctrl-C in its terminal, and notes its process id.
detached() { # detached PIDFILE LOG COMMAND…
  local pidfile=$1 log=$2
  shift 2
  if command -v setsid >/dev/null 2>&1; then set -- setsid "$@"; fi
  nohup "$@" >>"$log" 2>&1 </dev/null &
  echo $! >"$pidfile"
}

# Makes a key for all nodes and its self-signed certificate, for 127.0.0.1 alone: to any other name it is one for another host.
make_key() {
  local tls=$dir/kafka-tls
  [ -e "$tls/certificate.pem" ] && return 0
  rm -rf "$tls"
  mkdir -p "$tls"
  {
    keytool -genkeypair -alias kafka -keyalg EC -groupname secp256r1 -validity 365 -dname CN=orderflow-testbed -ext san=ip:127.0.0.1 \
      -storetype PKCS12 -keystore "$tls/keystore.p12" -storepass "$store_password" &&
      keytool -exportcert -rfc -alias kafka -keystore "$tls/keystore.p12" -storepass "$store_password" -file "$tls/certificate.pem.new" &&
      mv "$tls/certificate.pem.new" "$tls/certificate.pem"
  } >"$tls/keytool.log" 2>&1 || { tail_log "$tls/keytool.log"; die "keytool could not make a key"; }
}

# Each listener's users: PLAIN has them here, SCRAM in the cluster's metadata, where format puts them. Sessions of PLAIN end after three seconds
# (KIP-368), so that whoever stays longer has to authenticate again.
write_security() {
  local module=org.apache.kafka.common.security
  cat <<P
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_plaintext.plain.sasl.jaas.config=$module.plain.PlainLoginModule required user_$sasl_user="$sasl_password";
listener.name.sasl_plaintext.plain.connections.max.reauth.ms=3000
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=$module.scram.ScramLoginModule required;
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=$module.scram.ScramLoginModule required;
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=$module.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$module.scram.ScramLoginModule required;
ssl.keystore.type=PKCS12
ssl.keystore.location=$dir/kafka-tls/keystore.p12
ssl.keystore.password=$store_password
P
}

write_properties() { # write_properties N
  local n=$1 home clients proxied replicas insync voters='' i
  home=$(node_home "$n")
  clients=PLAINTEXT://127.0.0.1:$(client_port "$n"),SASL_PLAINTEXT://127.0.0.1:$(sasl_port "$n")
  clients+=,SSL://127.0.0.1:$(ssl_port "$n"),SASL_SSL://127.0.0.1:$(sasl_ssl_port "$n")
  # Who comes by way of a proxy is told to come back that way.
  proxied=PROXIED://127.0.0.1:
  replicas=$((kafka_nodes < 3 ? kafka_nodes : 3))
  insync=$((replicas < 3 ? 1 : 2))
  for i in $(every_node); do voters+=${voters:+,}$i@127.0.0.1:$(controller_port "$i"); done
  cat >"$home/server.properties" <<P
process.roles=broker,controller
node.id=$n
broker.rack=rack-$n
replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector
controller.quorum.voters=$voters
listeners=$clients,$proxied$(proxied_port "$n"),CONTROLLER://127.0.0.1:$(controller_port "$n")
advertised.listeners=$clients,$proxied$(proxy_port "$n")
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,PROXIED:PLAINTEXT
log.dirs=$home/data
num.partitions=3
default.replication.factor=$replicas
min.insync.replicas=$insync
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$insync
group.initial.rebalance.delay.ms=0
$(write_security)
P
}

format_kafka() { # format_kafka N: makes the node's storage if it has none
  local home
  home=$(node_home "$1")
  [ -e "$home/server.properties" ] && return 0
  mkdir -p "$home"
  write_properties "$1"
  kafka_java kafka.tools.StorageTool format -t dGVzdGJlZC1jbHVzdGVyMQ -c "$home/server.properties" \
    --add-scram "SCRAM-SHA-256=[name=$sasl_user,password=$sasl_password]" \
    --add-scram "SCRAM-SHA-512=[name=$sasl_user,password=$sasl_password]" >"$home/format.log" 2>&1 ||
    { rm -f "$home/server.properties"; tail_log "$home/format.log"; die "the storage of Kafka node $1 could not be formatted"; }
}

start_kafka() { # start_kafka N: on its storage, which format_kafka has made
  local n=$1 home port
  home=$(node_home "$n")
  alive "$home/pid" && return 0
  for port in $(client_port "$n") $(controller_port "$n") $(sasl_port "$n") $(ssl_port "$n") $(sasl_ssl_port "$n") \
    $(proxied_port "$n"); do
    port_open "$port" && die "port $port, which Kafka node $n needs, is taken; choose others with KAFKA_PORT"
  done
  detached "$home/pid" "$home/kafka.log" java "-Xmx$kafka_heap" -cp "$dir/kafka-lib/*" \
    "-Dlog4j2.configurationFile=$here/kafka/log4j2.yaml" kafka.Kafka "$home/server.properties"
}

start_mongo() {
  alive "$dir/mongo.pid" && return 0
  port_open "$mongo_port" && die "port $mongo_port, which Mongo needs, is taken; choose another with MONGO_PORT"
  detached "$dir/mongo.pid" "$dir/mongo.log" java "-Xmx$mongo_heap" -cp "$dir/mongo-lib/*" "$here/mongo/Mongo.java" "$mongo_port"
}

servers() { # servers PORT_FUNCTION
  local n
  for n in $(every_node); do echo "127.0.0.1:$("$1" "$n")"; done | paste -sd, -
}

print_env() {
  echo "export KAFKA_BOOTSTRAP_SERVERS=$(servers client_port)"
  echo "export MONGODB_URI=mongodb://127.0.0.1:$mongo_port"
  echo "export KAFKA_SASL_PLAINTEXT_SERVERS=$(servers sasl_port)"
  echo "export KAFKA_SSL_SERVERS=$(servers ssl_port)"
  echo "export KAFKA_SASL_SSL_SERVERS=$(servers sasl_ssl_port)"
  echo "export KAFKA_PROXIED_SERVERS=$(servers proxied_port)"
  echo "export KAFKA_PROXY_SERVERS=$(servers proxy_port)"
  echo "export KAFKA_SSL_CERTIFICATE=$dir/kafka-tls/certificate.pem"
  echo "export KAFKA_SASL_USERNAME=$sasl_user"
  echo "export KAFKA_SASL_PASSWORD=$sasl_password"
}
