"""A client for any of the forms of INDELIBLE_REDIS_URL that README lists."""

from urllib.parse import unquote, urlsplit

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel

from .trouble import CannotTell

TIMEOUT_S = 20

Client = redis.Redis | RedisCluster
# Not all that the library raises is a RedisError.
FAILURES = (redis.RedisError, RedisClusterException, OSError)


def connect(url: str) -> Client:
    """A client that has been answered once."""
    scheme, _, rest = url.partition("://")
    options = {"decode_responses": True, "socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
    try:
        if scheme in ("redis", "rediss", "unix"):
            client = redis.Redis.from_url(url, **options)
        elif scheme in ("redis-cluster", "rediss-cluster"):
            client = _cluster(rest, scheme.startswith("rediss"), options)
        elif scheme in ("redis+sentinel", "rediss+sentinel"):
            client = _sentinel(rest, scheme.startswith("rediss"), options)
        else:
            raise CannotTell("the Redis URL has an unknown scheme; README lists the forms (--redis)")
        client.ping()
        return client
    except (*FAILURES, ValueError) as error:
        raise CannotTell(f"Redis can't be asked: {error}; see --redis") from error


def _cluster(rest: str, tls: bool, options: dict[str, object]) -> RedisCluster:
    credentials, hosts = _hosts(rest.partition("/")[0])
    nodes = [ClusterNode(host, port) for host, port in hosts]
    return RedisCluster(startup_nodes=nodes, ssl=tls, **credentials, **options)


def _sentinel(rest: str, tls: bool, options: dict[str, object]) -> redis.Redis:
    authority, _, path = rest.partition("/")
    service, _, database = path.partition("/")
    credentials, hosts = _hosts(authority, 26379)
    sentinels = Sentinel(hosts, sentinel_kwargs={**options, "ssl": tls})
    return sentinels.master_for(service, db=int(database or 0), ssl=tls, **credentials, **options)


def _hosts(authority: str, default_port: int = 6379) -> tuple[dict[str, str], list[tuple[str, int]]]:
    user_and_password, _, hosts = authority.rpartition("@")
    user, _, password = user_and_password.partition(":")
    given = {"username": unquote(user), "password": unquote(password)}
    parsed = [urlsplit(f"//{host}") for host in hosts.split(",")]
    places = [(host.hostname or "", host.port or default_port) for host in parsed]
    return {name: value for name, value in given.items() if value}, places
