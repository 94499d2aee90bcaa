// A Worker beside the one under test. It runs statements on the same D1, as one transaction, and gives the rows of each.
export default {
  async fetch(request, { DB }) {
    const statements = await request.json();
    try {
      const results = await DB.batch(statements.map(({ sql, values }) => DB.prepare(sql).bind(...values)));
      return Response.json(results.map(({ results: rows }) => rows));
    } catch (error) {
      return new Response(error.message, { status: 400 });
    }
  },
};
