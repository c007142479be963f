# Runs as root in host mirror, at each `lab up`: what serves /srv/mirror is installed, set up and running. Where it is, nothing is restarted.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d # packages start nothing: that is done below, with our settings
chmod 755 /usr/sbin/policy-rc.d
if [ ! -e /var/lib/mirror-installed ]; then
  dpkg --force-unsafe-io --skip-same-version --install /srv/mirror/packages/*.deb </dev/null >/dev/null
  touch /var/lib/mirror-installed
fi
if [ ! -e /run/mirror-set-up ]; then
  cp /srv/mirror/nginx.conf /etc/nginx/
  cp /srv/mirror/registry.yml /etc/docker/registry/config.yml
  cp /srv/mirror/hub.service /etc/systemd/system/
  systemctl daemon-reload
  systemctl --quiet enable nginx docker-registry hub
  touch /run/mirror-set-up
fi
systemctl start nginx docker-registry hub
for address in http://127.0.0.1/python/ http://127.0.0.1/v2/ http://127.0.0.1/huggingface.co/health; do
  curl --silent --fail --retry 30 --retry-delay 1 --retry-all-errors --output /dev/null "$address"
done
