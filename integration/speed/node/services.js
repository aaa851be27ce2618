// The Node.js peer of `integration/bench system`: user, order and notification service on Express,
// KafkaJS and MongoDB, one process for each. An order takes the same hops as in Millrace: the order
// is stored, its stock is taken, it is confirmed, and the user is notified. `POST /v1/orders` is
// answered when the confirmed order has been read back from MongoDB.
//
//     MILLRACE_BROKERS=... MILLRACE_MONGO_URL=... node services.js user|order|notification
//
// A batch's messages are handled at once, its results are sent in one request, and its offset is
// committed after that: at least once. It has no transactions and no deduplication, so a crash or a
// rebalance repeats messages: stock is then taken twice, an order counts a reply twice, and a
// notification is sent again. Nothing compensates an order one of whose lines was refused, none
// times out, and a failing message stops its partition. It checks no password and no input, limits
// no client, keeps no history of an order, and has no schemas, traces or metrics.
import express from 'express'
import { Kafka, logLevel } from 'kafkajs'
import { MongoClient } from 'mongodb'
import { randomUUID } from 'node:crypto'

const PAGE = 50
const TOPICS = {
  order: ['order.placed', 'order.replies', 'stock.requests'],
  notification: ['order.ended'],
  user: ['order.ended']
}
const role = process.argv[2]
const mongo = await new MongoClient(process.env.MILLRACE_MONGO_URL).connect()
const [users, products, orders, inbox] =
  ['users', 'products', 'orders', 'inbox'].map(name => mongo.db('peer').collection(name))
const brokers = process.env.MILLRACE_BROKERS.split(',')
const kafka = new Kafka({ clientId: role, brokers, logLevel: logLevel.ERROR })
const producer = kafka.producer()
const waiting = new Map()

const named = topic => `peer.${topic}`
const message = (topic, key, value) =>
  ({ topic: named(topic), messages: [{ key, value: JSON.stringify(value) }] })
const send = topicMessages =>
  topicMessages.length && producer.sendBatch({ topicMessages, acks: -1 })
const status = order => order.open > 0 ? 'pending' : order.refused ? 'rejected' : 'confirmed'
// A document that exists already is left as it is.
const insert = (collection, documents) => collection.insertMany(documents, { ordered: false })
  .catch(error => { if (error.code !== 11000) throw error })

// What a service does with the values of a topic. It returns the messages to send.
const handlers = {
  'order.placed': async placed => {
    await insert(orders, placed.map(({ id, user, lines }) =>
      ({ _id: id, user, lines, open: lines.length, refused: 0 })))
    return placed.flatMap(({ id, lines }) =>
      lines.map(line => message('stock.requests', line.sku, { id, ...line })))
  },
  'stock.requests': requests => Promise.all(requests.map(async ({ id, sku, quantity }) => {
    const enough = { _id: sku, available: { $gte: quantity } }
    const taken = await products.updateOne(enough, { $inc: { available: -quantity } })
    return message('order.replies', id, { id, refused: 1 - taken.modifiedCount })
  })),
  'order.replies': async replies => (await Promise.all(replies.map(async ({ id, refused }) => {
    const reply = { $inc: { open: -1, refused } }
    const order = await orders.findOneAndUpdate({ _id: id }, reply, { returnDocument: 'after' })
    const ended = { id, user: order.user, status: status(order) }
    return order.open > 0 ? [] : [message('order.ended', id, ended)]
  }))).flat(),
  'order.ended': async ended => {
    if (role === 'user') ended.forEach(({ id }) => waiting.get(id)?.())
    else await insert(inbox, ended.map(order => ({ _id: order.id, ...order })))
    return []
  }
}

const admin = kafka.admin()
const topics = [...new Set(Object.values(TOPICS).flat().map(named))]
await admin.createTopics({ topics: topics.map(topic => ({ topic, numPartitions: 4 })) })
await admin.disconnect()
await producer.connect()
// Each user service reads the whole topic, for the requests that wait in it.
const groupId = role === 'user' ? `peer.user.${randomUUID()}` : named(role)
const consumer = kafka.consumer({ groupId })
await consumer.connect()
await consumer.subscribe({ topics: TOPICS[role].map(named), fromBeginning: true })
process.once('SIGTERM', () => consumer.disconnect().finally(process.exit))
await consumer.run({
  partitionsConsumedConcurrently: 12,
  autoCommitInterval: 1000,
  eachBatch: async ({ batch }) => {
    const values = batch.messages.map(({ value }) => JSON.parse(value))
    await send(await handlers[batch.topic.slice(named('').length)](values))
  }
})

if (role === 'user') {
  await orders.createIndex({ user: 1 })
  const app = express().use(express.json())
  // The token is the e-mail address.
  const caller = request => request.get('authorization')?.slice('Bearer '.length)
  const shown = ({ _id, ...rest }) => ({ id: _id, status: status(rest), ...rest })
  const page = async (found, show) => ({ items: (await found.limit(PAGE).toArray()).map(show) })
  const product = ({ _id, ...rest }) => ({ sku: _id, ...rest })
  app.post('/v1/users', async ({ body: { email, name } }, response) => {
    await users.updateOne({ _id: email }, { $set: { name } }, { upsert: true })
    response.status(201).json({ id: email })
  })
  app.post('/v1/sessions', ({ body }, response) => response.json({ access_token: body.email }))
  app.post('/v1/products', async ({ body: { sku, ...rest } }, response) => {
    await products.insertOne({ _id: sku, available: 0, ...rest })
    response.status(201).json({ sku })
  })
  app.post('/v1/products/:sku/stock', async ({ params: { sku }, body }, response) => {
    await products.updateOne({ _id: sku }, { $inc: { available: body.quantity } })
    response.json({ sku })
  })
  app.get('/v1/products', async (_, response) =>
    response.json(await page(products.find(), product)))
  app.get('/v1/products/:sku', async ({ params: { sku } }, response) =>
    response.json(product(await products.findOne({ _id: sku }))))
  app.post('/v1/orders', async (request, response) => {
    const [id, user, { lines }] = [randomUUID(), caller(request), request.body]
    if (!await users.findOne({ _id: user })) return response.sendStatus(401)
    const seconds = Number(/wait=(\d+)/.exec(request.get('prefer'))?.[1] ?? 0)
    const ended = new Promise(resolve => {
      waiting.set(id, resolve)
      setTimeout(resolve, seconds * 1000)
    })
    await send([message('order.placed', id, { id, user, lines })])
    await ended
    waiting.delete(id)
    const order = await orders.findOne({ _id: id }) ?? { _id: id, open: 1 }
    response.status(order.open > 0 ? 202 : 201).location(`/v1/orders/${id}`).json(shown(order))
  })
  app.get('/v1/orders', async (request, response) =>
    response.json(await page(orders.find({ user: caller(request) }), shown)))
  app.get('/v1/orders/:id', async (request, response) => {
    const order = await orders.findOne({ _id: request.params.id, user: caller(request) })
    order ? response.json(shown(order)) : response.sendStatus(404)
  })
  const server = app.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`))
} else {
  console.log('ready')
}
