# Two images from one file:
#   docker build --target crank -t awm-crank .          the crank and its command line (the default target)
#   docker build --target localnet -t awm-localnet .    the same, and what `localnet --kind rollup` prepares a validator with
# The base image is a tag, since no digest could be looked up where this was written. To pin it to what you have checked:
#   docker build --build-arg DEBIAN=debian@sha256:… .     (docs/runbook.md, "Containers")
# trixie, because MagicBlock's validator wants glibc 2.39.
ARG DEBIAN=debian:trixie-slim

FROM ${DEBIAN} AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
# pip itself is not needed any more once all is installed
RUN python3 -m venv --without-pip /opt/awm && /opt/build/bin/pip --python /opt/awm/bin/python3 install --no-cache-dir --require-hashes -r requirements/runtime.txt
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY idl idl
COPY awm_crank awm_crank
RUN PATH="/opt/build/bin:$PATH" /opt/build/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /src/dist .
RUN /opt/build/bin/pip --python /opt/awm/bin/python3 install --no-cache-dir --no-deps --no-index --find-links /src/dist awm-crank

# python3 runs it, curl asks for its health
FROM ${DEBIAN} AS runtime
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl python3 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/awm-crank awm-crank && install -d -o awm-crank -g awm-crank -m 0700 /keys /cache /ledger
COPY --from=build /opt/awm /opt/awm
ENV PATH=/opt/awm/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/awm-crank
STOPSIGNAL SIGTERM
ENTRYPOINT ["awm-crank"]

FROM runtime AS localnet
USER 0:0
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev npm && rm -rf /var/lib/apt/lists/*
USER 10001:10001
EXPOSE 8899 8900
CMD ["localnet", "--host", "0.0.0.0"]

FROM runtime AS crank
EXPOSE 9464
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["curl", "-fsS", "http://127.0.0.1:9464/healthz"]
CMD ["run", "--config", "/etc/awm-crank/awm-crank.toml"]
