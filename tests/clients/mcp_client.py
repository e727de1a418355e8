"""The official Python client, as documented: `mcp_client.py URL MODE`; prints JSON."""

import asyncio
import json
import sys

from mcp.client.client import Client


async def main(url: str, mode: str) -> None:
    progress: list[str | None] = []

    async def note(_progress: float, _total: float | None, message: str | None) -> None:
        progress.append(message)

    async with Client(url, mode=mode) as client:
        found = await client.call_tool("search", {"query": "How must a node be named?"})
        key = found.structured_content["results"][0]["id"]
        section = await client.call_tool("fetch", {"id": key})
        pages = (await client.list_resources()).resources
        page = await client.read_resource(pages[0].uri)
        question = {"question": "How must a node be named?"}
        answer = await client.call_tool("ask", question, progress_callback=note)
        seen = {
            "version": client.protocol_version,
            "tools": [each.name for each in (await client.list_tools()).tools],
            "section": section.structured_content["title"],
            "page": page.contents[0].text,
            "answer": answer.structured_content,
            "progress": progress,
        }
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:]))
