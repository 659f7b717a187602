"""Servers of video streams on the loopback interface."""

import base64
import contextlib
import http.server
import re
import socket
import socketserver
import threading
import time

import av
import cv2
import numpy as np

SIZE_HW = (48, 64)


def frame(number):
    """A gray frame that tells its number."""
    return np.full((*SIZE_HW, 3), 20 + 5 * (number % 40), np.uint8)


def number_of(image):
    """Returns the number of a frame, modulo 40."""
    return round((float(image.mean()) - 20) / 5)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads, allow_reuse_address = True, True

    def handle_error(self, request, client_address):
        """Says nothing about clients that went away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.answer(self)


@contextlib.contextmanager
def serve(answer, *, handler=_Handler):
    """Runs a server whose requests are answered by a function; yields its host and port."""
    with _Server(("127.0.0.1", 0), handler) as server:
        server.answer = answer
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Mjpeg:
    """Motion JPEG as network cameras send it over HTTP.

    Attributes:
        limits: Number of frames of each connection. Later connections get the last one.
        num_connections: Number of connections so far.
        paths: Paths that were asked for.
        allowed: Number of frames that may be sent, over all connections. None for no limit.
    """

    def __init__(self, *limits, interval_s=0.01):
        self.limits, self.interval_s = limits, interval_s
        self.num_connections, self.num_sent, self.paths, self.allowed = 0, 0, [], None

    def __call__(self, request):
        self.paths.append(request.path)
        limit = self.limits[min(self.num_connections, len(self.limits) - 1)]
        self.num_connections += 1
        if not limit:
            return request.send_error(503)
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        request.end_headers()
        for _ in range(limit):
            while self.allowed is not None and self.num_sent >= self.allowed:
                time.sleep(0.002)
            jpeg = cv2.imencode(".jpg", frame(self.num_sent))[1].tobytes()
            self.num_sent += 1
            request.wfile.write(
                b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
                % (len(jpeg), jpeg)
            )
            time.sleep(self.interval_s)
        return None


class FileServer:
    """Serves the bytes of files by path, also parts of them.

    Attributes:
        breaks: Lengths after which the first connections are closed.
    """

    def __init__(self, files, *, breaks=()):
        self.files, self.breaks, self.num_connections = files, list(breaks), 0

    def __call__(self, request):
        self.num_connections += 1
        name = request.path.partition("?")[0].lstrip("/")
        if name not in self.files:
            return request.send_error(404)
        content = self.files[name]
        asked = re.match(r"bytes=(\d+)-", request.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        request.send_response(206 if asked else 200)
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(len(content) - start))
        if asked:
            last = len(content) - 1
            request.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        request.end_headers()
        length = self.breaks.pop(0) if self.breaks else len(content)
        request.wfile.write(content[start : start + length])
        return None


class Rtsp:
    """RTSP server with Basic authentication that sends Motion JPEG over the same connection.

    Attributes:
        limits: See `Mjpeg`.
        num_connections: Number of connections that were played so far.
    """

    def __init__(self, *limits, user="admin", password="s3cret"):
        self.limits, self.num_connections = limits, 0
        self._authorization = base64.b64encode(f"{user}:{password}".encode()).decode()

    def __call__(self, request):
        for method, path, headers in iter(lambda: self._read(request.rfile), None):
            status, extra, body = "200 OK", "", ""
            if self._authorization not in headers:
                status, extra = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
            elif not path.startswith("/live"):
                status = "404 Not Found"
            elif method == "DESCRIBE":
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=live\r\nt=0 0\r\n"
                    "m=video 0 RTP/AVP 26\r\na=control:track0\r\n"
                )
                extra = "Content-Type: application/sdp\r\n"
            elif method == "SETUP":
                extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 7\r\n"
            elif method == "PLAY":
                extra = "Session: 7\r\n"
            count = re.search(r"CSeq: *(\d+)", headers)[1]
            request.wfile.write(
                f"RTSP/1.0 {status}\r\nCSeq: {count}\r\n{extra}"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            if method == "PLAY" and status == "200 OK":
                return self._play(request.wfile)
        return None

    @staticmethod
    def _read(file):
        """Returns method, path and headers of the next request; None at the end."""
        lines = list(iter(lambda: file.readline().decode().strip(), ""))
        if not lines:
            return None
        method, url, _ = lines[0].split()
        return method, "/" + url.partition("://")[2].partition("/")[2], "\r\n".join(lines[1:])

    def _play(self, file):
        limit = self.limits[min(self.num_connections, len(self.limits) - 1)]
        self.num_connections += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
            packets.bind(("127.0.0.1", 0))
            packets.settimeout(5)
            port = packets.getsockname()[1]
            url = f"rtp://127.0.0.1:{port}?rtcpport={port}"
            with av.open(url, "w", format="rtp") as output:
                stream = output.add_stream("mjpeg", rate=25)
                stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuvj420p"
                for number in range(limit):
                    image = av.VideoFrame.from_ndarray(frame(number), format="rgb24")
                    image.pts = number
                    for packet in stream.encode(image):
                        output.mux(packet)
                    is_last = False
                    while not is_last:
                        data = packets.recv(65536)
                        is_rtp = data[1] & 0x7F == 26
                        is_last = is_rtp and data[1] & 0x80
                        file.write(b"$%c" % (0 if is_rtp else 1) + len(data).to_bytes(2) + data)
                    file.flush()
                    time.sleep(0.01)


class RtspHandler(socketserver.StreamRequestHandler):
    """Hands connections to `Rtsp`."""

    def handle(self):
        self.server.answer(self)
