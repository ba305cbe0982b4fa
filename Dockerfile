# The crank, its localnets and its command line in one image. glibc of trixie (2.41), since MagicBlock's validator wants
# 2.39. Build: docker build -t awm-crank .
FROM debian:trixie-slim AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
RUN python3 -m venv /opt/awm && /opt/awm/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt
COPY pyproject.toml CMakeLists.txt README.md ./
COPY awm_crank awm_crank
RUN PATH="/opt/build/bin:$PATH" /opt/build/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /src/dist .
RUN /opt/awm/bin/pip install --no-cache-dir --no-deps --no-index --find-links /src/dist awm-crank

FROM debian:trixie-slim
# python3 runs it, curl asks for its health; npm and cc are what `localnet --kind rollup` prepares its validator with
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl gcc libc6-dev npm python3 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/awm-crank awm-crank && install -d -o awm-crank -g awm-crank -m 0700 /keys /cache /ledger
COPY --from=build /opt/awm /opt/awm
ENV PATH=/opt/awm/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/awm-crank
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["curl", "-fsS", "http://127.0.0.1:9464/healthz"]
ENTRYPOINT ["awm-crank"]
CMD ["run", "--config", "/etc/awm-crank/awm-crank.toml"]
