"""
A Socket.IO user of a conversation: reads its history, says something, waits for the answer.

Input is one JSON document: url, sid, key, say, until.  Prints {replayed, answered} or {refused}.
"""

import asyncio
import json
import sys
from urllib.parse import urlencode, urlsplit

import socketio

QUIET_SECONDS = 2
ANSWER_SECONDS = 45


async def use(order):
    client, events, news = socketio.AsyncClient(reconnection=False), [], asyncio.Event()

    @client.on("oh_event")
    async def seen(event):
        events.append(event)
        news.set()

    origin = urlsplit(order["url"])
    query = {"conversation_id": order["sid"], "latest_event_id": -1}
    query |= {"session_api_key": order["key"]} if order["key"] else {}
    try:
        await client.connect(f"{origin.scheme}://{origin.netloc}?{urlencode(query)}")
    except socketio.exceptions.ConnectionError:
        return {"refused": True}
    await until_quiet(news)
    replayed = list(events)
    await client.emit("oh_user_action", {"action": "message", "args": {"content": order["say"]}})
    async with asyncio.timeout(ANSWER_SECONDS):
        while not any("observation" in each and order["until"] in str(each) for each in events):
            news.clear()
            await news.wait()
    await client.disconnect()
    return {"replayed": replayed, "answered": True}


async def until_quiet(news):
    while True:
        news.clear()
        try:
            await asyncio.wait_for(news.wait(), QUIET_SECONDS)
        except TimeoutError:
            return


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(use(json.load(sys.stdin)))))
