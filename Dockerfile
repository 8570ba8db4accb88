# docker build -t perilune .
# docker run -p 4100:4100 -e OPENAI_API_KEY -e PERILUNE_API_KEY -v perilune:/var/lib/perilune perilune
FROM debian:12-slim AS build
WORKDIR /src
COPY tools/setup tools/setup
RUN tools/setup run deb
COPY . .
RUN make deb

FROM debian:12-slim
COPY --from=build /src/build/perilune_*.deb /tmp/
RUN apt-get -qq update \
    && apt-get -qq install -y --no-install-recommends /tmp/perilune_*.deb \
    && rm -rf /tmp/perilune_*.deb /var/lib/apt/lists/* \
    && useradd --uid 4100 --no-create-home --shell /usr/sbin/nologin perilune \
    && install -d -m 700 -o perilune -g perilune /var/lib/perilune /var/cache/perilune
# In a container loopback reaches nobody. Clients need a key: PERILUNE_API_KEY, else the first start makes one and prints it once.
ENV PERILUNE_LISTEN=0.0.0.0:4100 XDG_STATE_HOME=/var/lib XDG_CACHE_HOME=/var/cache
USER 4100:4100
WORKDIR /etc/perilune
VOLUME /var/lib/perilune
EXPOSE 4100
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["perilune", "status"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["perilune"]
CMD ["run"]
