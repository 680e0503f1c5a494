# Two images: `tongdai` (the default) and `asterisk`. compose.yaml brings them up together with PostgreSQL.

FROM debian:forky-slim AS asterisk
RUN apt-get update \
 && apt-get install -y --no-install-recommends asterisk \
 && rm -rf /var/lib/apt/lists/*
# The group that `tongdai asterisk config` lets read its files: one of them holds a password.
# Ends of calls are noted in its database only when it may live dangerously; what else that opens is left out.
# Keys that are pressed faster than 80 ms would be told twice if it stretched them.
RUN groupadd --gid 10001 tongdai \
 && usermod --append --groups tongdai asterisk \
 && for name in http ari pjsip sorcery extensions; do \
      printf '\n#include "/etc/tongdai-asterisk/%s.conf"\n' "$name" >> "/etc/asterisk/$name.conf"; \
    done \
 && sed -i '/^\[options\]/a live_dangerously = yes' /etc/asterisk/asterisk.conf \
 && grep -qx 'live_dangerously = yes' /etc/asterisk/asterisk.conf \
 && sed -i '/^\[options\]/a mindtmfduration = 0' /etc/asterisk/asterisk.conf \
 && grep -qx 'mindtmfduration = 0' /etc/asterisk/asterisk.conf \
 && sed -i '/^\[modules\]/a noload => func_shell.so' /etc/asterisk/modules.conf \
 && grep -qx 'noload => func_shell.so' /etc/asterisk/modules.conf \
 && printf '[general]\nrtpstart=10000\nrtpend=10199\nicesupport=no\nstrictrtp=yes\n' > /etc/asterisk/rtp.conf
USER asterisk
EXPOSE 5080/udp 5080/tcp 10000-10199/udp
ENTRYPOINT ["asterisk", "-f", "-n"]

FROM python:3.13-slim AS tongdai
RUN groupadd --gid 10001 tongdai \
 && useradd --uid 10001 --gid 10001 --no-create-home tongdai \
 && install -d -o tongdai -g tongdai /data /sounds /etc/tongdai-asterisk \
 && apt-get update \
 && apt-get install -y --no-install-recommends espeak-ng \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/tongdai
COPY requirements/runtime.lock requirements/build.lock requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/runtime.lock -r requirements/build.lock
COPY pyproject.toml README.md LICENSE config.default.toml ./
COPY src src
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
USER tongdai
EXPOSE 8080
ENTRYPOINT ["tongdai"]
CMD ["serve"]
