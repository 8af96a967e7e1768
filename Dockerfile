# The image of Indelible: the program, the libraries that it needs, and nothing else.
#
#   docker build --tag indelible:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#
# Tags can be moved. Whoever needs the same image again gives both bases by digest:
#   --build-arg RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:…

ARG RUST_IMAGE=rust:1.95.0-bookworm
# Of the same Debian as the above, since libraries come from there.
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# As scripts/setup.sh has it. The versions are those of the base, which is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake libcurl4-openssl-dev libssl-dev pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# benches/ is not built, but Cargo.toml names what is in it.
COPY benches/ benches/
COPY schemas/ schemas/
COPY src/ src/
# Crates and what was compiled of them outlive a build, so a change of ours compiles nothing but ours.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin indelible \
    && install -D target/release/indelible /image/usr/local/bin/indelible
# All but the C library's own, which the runtime has: it has no zlib, and its OpenSSL may be an older one.
RUN ldd /image/usr/local/bin/indelible | awk '$3 ~ "^/" && $1 !~ "^lib[cm][.]so" { print $3 }' \
    | while read -r library; do \
        install -D --mode=644 "$library" "/image/usr/lib/$(gcc -print-multiarch)/${library##*/}"; \
    done

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="indelible" \
      org.opencontainers.image.description="Usage metering for AI services: Kafka events into Redis counters, exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/ /
# OpenSSL would look where Debian's package "openssl" puts a link, which not every base has.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# A worker's next backlog takes the memory again that the last one left: ARCHITECTURE, decision 57.
ENV MIMALLOC_PURGE_DELAY=-1
# Fails here, and not in production, where a library is missing.
RUN ["/usr/local/bin/indelible", "--version"]
# By number: Kubernetes can't tell from a name that it isn't root.
USER 65532:65532
# The API, and the private port. Both listen on loopback unless INDELIBLE_LISTEN and INDELIBLE_OPS_LISTEN say otherwise.
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/indelible", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/indelible"]
CMD ["serve"]
