#!/usr/bin/python3
"""An independent reader of what Toolferry writes for Dify, with PyCryptodome instead of our own code (dify.md 2.6).

dify_check.py PRIVATE.pem < rows.jsonl             rows of tool_mcp_providers as JSON (of either engine) -> one JSON verdict a row; fails on the first bad one
dify_check.py --tools < columns.jsonl            one tools column a line -> the tools' names a line; fails on the first that Dify would stumble over
dify_check.py --decrypt PRIVATE.pem < tokens.txt   one encrypted value a line -> {"text": …} or {"error": …} a line
"""
import base64
import hashlib
import json
import re
import sys

from Cryptodome.Cipher import AES, PKCS1_OAEP
from Cryptodome.PublicKey import RSA

TYPES = {"string", "number", "boolean", "select", "secret-input", "file", "files", "checkbox", "app-selector", "model-selector",
         "any", "dynamic-select", "array", "object", "system-files", "integer", "float"}


def decrypt(key, token):
    size = key.size_in_bytes()
    raw = base64.b64decode(token, validate=True)
    assert raw[:7] == b"HYBRID:", "no HYBRID prefix"
    raw = raw[7:]
    aes_key = PKCS1_OAEP.new(key).decrypt(raw[:size])
    assert len(aes_key) == 16
    cipher = AES.new(aes_key, AES.MODE_EAX, nonce=raw[size:size + 16])
    return cipher.decrypt_and_verify(raw[size + 32:], raw[size + 16:size + 32]).decode()


def check_tools(column):
    tools = json.loads(column)
    assert isinstance(tools, list)
    for tool in tools:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tool["name"]) and isinstance(tool["description"], str)
        # pydantic: title and description are texts or absent, outputSchema and _meta objects, annotations' hints booleans.
        assert isinstance(tool.get("title", ""), str)
        assert all(isinstance(tool.get(key, {}), dict) for key in ("outputSchema", "_meta", "annotations"))
        for hint, value in tool.get("annotations", {}).items():
            assert isinstance(value, str if hint == "title" else bool), hint
        schema = tool["inputSchema"]
        assert isinstance(schema, dict) and schema.get("type") == "object"
        assert isinstance(schema["required"], list) and all(isinstance(name, str) for name in schema["required"])
        assert isinstance(schema["properties"], dict)
        for prop in schema.get("properties", {}).values():
            assert isinstance(prop, dict) and isinstance(prop.get("description", ""), str)
            kind = prop.get("type", "string")
            assert isinstance(kind, str) and kind in TYPES, kind
        json.dumps(tool, ensure_ascii=False).encode()
    return [tool["name"] for tool in tools]


def check_row(key, row):
    url = decrypt(key, row["server_url"])
    assert hashlib.sha256(url.encode()).hexdigest() == row["server_url_hash"], "url hash"
    stored = row.get("encrypted_headers")
    headers = json.loads(stored) if stored else {}
    # Dify does not decrypt an empty text.
    headers = {name: decrypt(key, value) if value != "" else "" for name, value in headers.items()}
    icon = json.loads(row["icon"])
    assert icon["content"] and icon["background"]
    assert 0 < len(row["name"]) <= 40
    assert re.fullmatch(r"[a-z0-9_-]{1,24}", row["server_identifier"])
    for column in ("id", "tenant_id", "user_id"):
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row[column]), column
    assert row["authed"] in (True, False, 1, 0)
    assert row.get("identity_mode", "off") in ("off", "idp_token"), "identity_mode"
    for column in ("timeout", "sse_read_timeout"):
        assert column not in row or row[column] > 0, column
    credentials = row.get("encrypted_credentials")
    assert not credentials or isinstance(json.loads(credentials), dict)
    return {"id": row["id"], "name": row["name"], "url": url, "headers": headers, "tools": check_tools(row["tools"])}


def load_key(path):
    with open(path, "rb") as file:
        return RSA.import_key(file.read())


def main(arguments):
    if arguments[0] == "--tools":
        for line in sys.stdin:
            print(json.dumps(check_tools(line)))
    elif arguments[0] == "--decrypt":
        key = load_key(arguments[1])
        for line in sys.stdin:
            try:
                print(json.dumps({"text": decrypt(key, line.rstrip("\n"))}))
            except (ValueError, AssertionError) as error:
                print(json.dumps({"error": str(error)}))
    else:
        key = load_key(arguments[0])
        for line in sys.stdin:
            print(json.dumps(check_row(key, json.loads(line))))


main(sys.argv[1:])
