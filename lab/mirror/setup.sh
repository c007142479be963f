# Runs as root in host mirror, at each `lab up`: what serves /srv/mirror is installed, set up and running.
# Where all of it is in place already, nothing is restarted.
export DEBIAN_FRONTEND=noninteractive
if ! dpkg-query -W nginx-light docker-registry >/dev/null 2>&1; then
  ln -sfn /dev/null /etc/systemd/system/docker-registry.service # started below, with our settings
  ln -sfn /dev/null /etc/systemd/system/nginx.service
  apt-get -q update >/dev/null
  apt-get -qy --no-install-recommends install nginx-light docker-registry >/dev/null
  rm /etc/systemd/system/docker-registry.service /etc/systemd/system/nginx.service
  systemctl daemon-reload
fi
place() { # FILE TARGET UNIT: copy when it differs, and start the unit anew then
  if cmp -s "$1" "$2"; then return; fi
  cp "$1" "$2"
  stale="$stale $3"
}
stale=
place /srv/mirror/nginx.conf /etc/nginx/nginx.conf nginx
place /srv/mirror/registry.yml /etc/docker/registry/config.yml docker-registry
place /srv/mirror/hub.service /etc/systemd/system/hub.service hub
mkdir -p /var/lib/hub
systemctl daemon-reload
for unit in nginx docker-registry hub; do
  case " $stale " in *" $unit "*) systemctl restart "$unit" ;; esac
  systemctl -q is-enabled "$unit" || systemctl -q enable "$unit"
  systemctl -q is-active "$unit" || systemctl start "$unit"
done
for address in http://127.0.0.1/python/ http://127.0.0.1/v2/ http://127.0.0.1/huggingface.co/health; do
  curl --silent --fail --retry 30 --retry-delay 1 --retry-all-errors --output /dev/null "$address"
done
