"""Who may ask: names, pages and tokens."""

import pytest


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]", "[::1]:8000"])
def test_names_of_this_machine_are_answered(client, host):
    made = client(hosts=("localhost", "127.0.0.1", "[::1]"))
    assert made.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""])
def test_other_names_are_refused(client, host):
    response = client(hosts=("localhost", "127.0.0.1")).get("/health", headers={"host": host})
    assert response.status_code == 400
    assert response.json()["error"].startswith(f"host {host!r}: this server is not called so; it answers to")
    assert "content-security-policy" in response.headers


def test_a_name_can_be_allowed(client):
    made = client(hosts=("localhost", "cam.example"))
    assert made.get("/health", headers={"host": "cam.example:8000"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:3000", "null", "localhost", ""])
def test_pages_of_other_sites_are_refused(client, photo, origin):
    response = client().post("/predict", content=photo, headers={"origin": origin})
    assert response.status_code == 403
    assert response.json()["error"].startswith(f"origin {origin!r}: pages of other sites")


def test_its_own_page_is_answered(client, photo):
    made = client()
    for origin, host in (("http://localhost", "localhost"), ("https://localhost:8443", "localhost:8443")):
        response = made.post("/predict", content=photo, headers={"origin": origin, "host": host})
        assert response.status_code == 200


def test_a_token_is_asked_for(client, photo):
    made = client(token="letmein")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}):
        for response in (
            made.post("/predict", content=photo, headers=headers),
            made.get("/model"),
            made.get("/metrics"),
        ):
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
    right = {"authorization": "Bearer letmein"}
    assert made.post("/predict", content=photo, headers=right).status_code == 200
    for path in ("/", "/page/main.js", "/health", "/ready"):
        assert made.get(path).status_code == 200, path
