# A gRPC server, and a client that prints all it sees. Messages are bytes, so that nothing has to be generated.
#   with_grpc.py serve          prints its port
#   with_grpc.py call ADDRESS   every kind of call
#   with_grpc.py fail ADDRESS METHOD   one call, and how it failed
import concurrent.futures
import itertools
import sys
import threading
import time

import grpc

SERVICE = "shop.Orders"
DEADLINE = 60
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]


class Server:
    def __init__(self):
        self.lock = threading.Lock()
        self.ended = 0

    def unary(self, request, context):
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-initial", sent.get("x-mine", "none")),))
        context.set_trailing_metadata((("x-trailing", "a"), ("x-trailing", "b"), ("x-bits-bin", b"\x00\xff")))
        # The library rounds what it sends up and converts between two clocks: what is left may be a little above all.
        limited = 0 < (context.time_remaining() or 0) <= DEADLINE + 1
        return b"%d bytes, te %s, limited %s " % (len(request), sent.get("te", "-").encode(), str(limited).encode()) + request

    def fail(self, request, context):
        context.set_trailing_metadata((("x-why", "because"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "no order 42: 100 % gone, caf\u00e9\n")

    def late_failure(self, request, context):
        yield b"one"
        yield b"two"
        context.abort(grpc.StatusCode.DATA_LOSS, "halfway")

    def download(self, request, context):
        for number in range(int(request)):
            yield b"%d" % number * 100

    def upload(self, requests, context):
        return b"%d" % sum(len(request) for request in requests)

    def talk(self, requests, context):
        for request in requests:
            yield b"re: " + request

    def note_end(self):
        with self.lock:
            self.ended += 1

    def endless(self, request, context):
        # Whoever is cancelled is not asked for more, so that this cannot stand behind the loop.
        context.add_callback(self.note_end)
        for number in itertools.count(1):
            yield b"%d" % number

    def silent(self, request, context):
        stopped = threading.Event()
        context.add_callback(self.note_end)
        context.add_callback(stopped.set)
        stopped.wait(DEADLINE)
        return b""

    def how_many_ended(self, request, context):
        with self.lock:
            return b"%d" % self.ended

    def handlers(self):
        unary = grpc.unary_unary_rpc_method_handler
        stream = grpc.unary_stream_rpc_method_handler
        return {
            "Unary": unary(self.unary),
            "Fail": unary(self.fail),
            "Silent": unary(self.silent),
            "HowManyEnded": unary(self.how_many_ended),
            "LateFailure": stream(self.late_failure),
            "Download": stream(self.download),
            "Endless": stream(self.endless),
            "Upload": grpc.stream_unary_rpc_method_handler(self.upload),
            "Talk": grpc.stream_stream_rpc_method_handler(self.talk),
        }


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, Server().handlers()),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


# What each side adds of its own.
def plain(metadata):
    return [(key, value) for key, value in metadata or () if key.startswith("x-") and key != "x-request-id"]


def failure(call):
    try:
        list(call())
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()!r} {plain(error.trailing_metadata())}"
    return "it did not fail"


def until(what, holds):
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < DEADLINE, what
        time.sleep(0.005)


def calls(channel):
    path = lambda name: f"/{SERVICE}/{name}"
    unary = lambda name: channel.unary_unary(path(name))
    stream = lambda name: channel.unary_stream(path(name))

    answer, call = unary("Unary").with_call(b"hello", metadata=(("x-mine", "1"),), timeout=DEADLINE)
    print("unary", answer, plain(call.initial_metadata()), plain(call.trailing_metadata()), call.code().name)
    print("large", len(unary("Unary")(b"x" * (4 << 20) + b"y", timeout=DEADLINE)))
    print("empty", unary("Unary")(b"", timeout=DEADLINE))
    print("error", failure(lambda: unary("Fail")(b"", timeout=DEADLINE)))
    print("late error", failure(lambda: stream("LateFailure")(b"", timeout=DEADLINE)))
    print("unknown", failure(lambda: unary("Nothing")(b"", timeout=DEADLINE)))

    many = [unary("Unary").future(b"%d" % number, timeout=DEADLINE) for number in range(200)]
    print("at once", len({call.result() for call in many}))

    print("download", sum(len(piece) for piece in stream("Download")(b"10000", timeout=DEADLINE)))
    uploaded = channel.stream_unary(path("Upload"))(iter([b"x" * number for number in range(2000)]), timeout=DEADLINE)
    print("upload", uploaded)

    # Each word waits for the answer to the one before.
    heard = threading.Semaphore(1)

    def words():
        for number in range(300):
            assert heard.acquire(timeout=DEADLINE)
            yield b"%d" % number

    replies = []
    for reply in channel.stream_stream(path("Talk"))(words(), timeout=DEADLINE):
        replies.append(reply)
        heard.release()
    print("talk", len(replies), replies[0], replies[-1])

    ended = lambda: int(unary("HowManyEnded")(b"", timeout=DEADLINE))
    before = ended()
    print("deadline", failure(lambda: unary("Silent")(b"", timeout=0.3)))
    until("the server learns of the deadline", lambda: ended() == before + 1)
    endless = stream("Endless")(b"", timeout=DEADLINE)
    print("endless", [next(endless) for _ in range(3)])
    endless.cancel()
    until("the server learns of the cancellation", lambda: ended() == before + 2)
    print("that is all")


def main():
    if sys.argv[1] == "serve":
        return serve()
    with grpc.insecure_channel(sys.argv[2], options=OPTIONS) as channel:
        if sys.argv[1] == "call":
            calls(channel)
        else:
            print(failure(lambda: channel.unary_unary(sys.argv[3])(b"", timeout=DEADLINE)))


main()
